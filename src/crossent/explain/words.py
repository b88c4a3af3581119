"""Every sentence of an explanation, in English and Chinese."""

from __future__ import annotations

from typing import Any

WORDS: dict[str, dict[str, str]] = {
    "title": {"en": "What this cross entropy is made of", "zh": "这个交叉熵是怎样算出来的"},
    "batch": {
        "en": "logits {shape} {dtype}, classes in dim {class_dim}: {rows} rows of {classes} classes",
        "zh": "logits {shape} {dtype}，类别在第 {class_dim} 维：{rows} 行，每行 {classes} 类",
    },
    "targets": {
        "en": "{valid} rows are counted, {ignored} ignored; targets are {kind}",
        "zh": "计入 {valid} 行，忽略 {ignored} 行；目标是{kind}",
    },
    "index": {"en": "class indices", "zh": "类别编号"},
    "probability": {"en": "class probabilities", "zh": "类别概率"},
    "baselines": {
        "en": "guessing costs log {classes} = {chance:.4f}; knowing only the labels' frequencies costs {prior}",
        "zh": "均匀瞎猜的损失是 log {classes} = {chance:.4f}；只知道标签频率时是 {prior}",
    },
    "sample": {"en": "row {index}", "zh": "第 {index} 行"},
    "label": {"en": "label {name}", "zh": "标签 {name}"},
    "distribution": {"en": "a distribution as target", "zh": "目标是一个分布"},
    "class": {"en": "class", "zh": "类别"},
    "logit": {"en": "logit z", "zh": "logit z"},
    "shifted": {"en": "z - max", "zh": "z - max"},
    "probability_of": {"en": "probability", "zh": "概率"},
    "log_probability": {"en": "log probability", "zh": "对数概率"},
    "gradient": {"en": "gradient", "zh": "梯度"},
    "push": {"en": "one step pushes it", "zh": "一步之后"},
    "up": {"en": "up", "zh": "上升"},
    "down": {"en": "down", "zh": "下降"},
    "steps": {
        "en": "max = {largest:.4f} is subtracted; logsumexp = {lse:.4f}; loss = logsumexp - z[label] = {lse:.4f} - "
        "{z} = {plain:.4f}",
        "zh": "先减去最大值 {largest:.4f}；logsumexp = {lse:.4f}；损失 = logsumexp - z[标签] = {lse:.4f} - {z} = "
        "{plain:.4f}",
    },
    "steps_distribution": {
        "en": "max = {largest:.4f} is subtracted; logsumexp = {lse:.4f}; loss = -sum of target * log probability = "
        "{plain:.4f}",
        "zh": "先减去最大值 {largest:.4f}；logsumexp = {lse:.4f}；损失 = -Σ 目标 × 对数概率 = {plain:.4f}",
    },
    "weighted": {
        "en": "with weight {weight:.4g} and smoothing {smoothing:.4g} the row counts {loss:.4f}",
        "zh": "乘上权重 {weight:.4g}、标签平滑 {smoothing:.4g} 之后，这一行计 {loss:.4f}",
    },
    "contribution": {
        "en": "{share:.1%} of the loss; classes that score above the label: {rank}, margin {margin:+.4f}",
        "zh": "占总损失的 {share:.1%}；有 {rank} 个类别的分数高于标签，间隔 {margin:+.4f}",
    },
    "reduction": {"en": "The reduction", "zh": "归约"},
    "none": {
        "en": "reduction none: the rows stay as they are; their sum is", "zh": "reduction none：各行保持原样；总和是",
    },
    "count": {"en": "the number of counted rows", "zh": "计入的行数"},
    "weights": {"en": "the sum of the labels' weights", "zh": "各标签权重之和"},
    "rows": {"en": "the number of rows", "zh": "行数"},
    "one": {"en": "nothing: a sum", "zh": "不除：求和"},
    "divided_by": {"en": "divided by {below:.6g}, {what}", "zh": "除以 {below:.6g}（{what}）"},
    "same": {"en": "The same number by other ways", "zh": "换一种算法，结果相同"},
    "by_torch": {"en": "torch's cross_entropy in float64", "zh": "torch 的 cross_entropy（float64）"},
    "by_nll": {"en": "nll_loss(log_softmax(logits), target)", "zh": "nll_loss(log_softmax(logits), target)"},
    "gradient_check": {
        "en": "(softmax - target) / denominator against autograd: largest difference {difference:.1e}",
        "zh": "(softmax - 目标) / 分母 与 autograd 的最大差异：{difference:.1e}",
    },
    "mistakes": {
        "en": "What the common mistakes would give on this batch", "zh": "几种常见错误在这批数据上的结果",
    },
    "seen": {"en": "this is the loss that you see", "zh": "这正是你看到的损失"},
    "right": {"en": "right", "zh": "正确"},
    "softmax": {"en": "softmax before cross_entropy (twice)", "zh": "cross_entropy 之前多做了 softmax（两次）"},
    "probabilities": {"en": "probabilities into nll_loss", "zh": "把概率送进 nll_loss"},
    "logits": {"en": "raw logits into nll_loss", "zh": "把原始 logits 送进 nll_loss"},
    "dim": {"en": "log_softmax over the batch", "zh": "log_softmax 用错了维度（批次维）"},
    "map": {"en": "Where the loss is: image {image}", "zh": "损失在哪里：第 {image} 张图"},
    "map_scale": {
        "en": "{height} x {width} pixels; from 0 to {high:.4g}; left out where pixels are ignored (x in text)",
        "zh": "{height} x {width} 像素；从 0 到 {high:.4g}；忽略的像素留空（文本中为 x）",
    },
    "map_class": {
        "en": "class {name}: {count} pixels, {mean:.4f} each on average, {share:.1%} of the loss",
        "zh": "类别 {name}：{count} 个像素，平均 {mean:.4f}，占损失的 {share:.1%}",
    },
    "profile": {
        "en": "Alignment: the loss if each label were the one so many positions further on",
        "zh": "对齐：如果标签取后移若干位置的那个，损失是多少",
    },
    "shift": {"en": "shift", "zh": "移位"},
    "as_it_came": {"en": "as it came", "zh": "现在的对齐"},
    "profile_right": {
        "en": "the labels fit best as they came, or no other shift is clearly better",
        "zh": "现在的对齐最好，或没有明显更好的移位",
    },
    "profile_off": {
        "en": "the labels fit {margin:.2f} nats better at shift {best}: check the shift ({code})",
        "zh": "移位 {best} 的损失低 {margin:.2f} nat：请检查移位（{code}）",
    },
    "value": {"en": "value", "zh": "值"},
    "rule": {"en": "rule", "zh": "规则"},
}  # fmt: skip


def say(language: str, key: str, **facts: Any) -> str:
    return WORDS[key][language].format(**facts)
