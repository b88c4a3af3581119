"""All rules, in one table. A new rule is one file in this folder and one row here; codes are never renumbered.

``catalogue`` is the entry in the catalogue of misuses: A what is fed as input, B targets, C reduction and weights,
D smoothing, masks and numerics, E distillation, F language models, G segmentation.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from crossent.doctor.finding import Row

CE, NLL, LINEAR, KL = "cross_entropy", "nll_loss", "linear_cross_entropy", "kl_div"
BCE, BCE_LOGITS = "binary_cross_entropy", "binary_cross_entropy_with_logits"
ROW_LOSSES = (CE, NLL)
LOSSES = (CE, NLL, LINEAR, KL, BCE, BCE_LOGITS)
LOG_PROB = "linear_log_prob"

ROWS: tuple[Row, ...] = (
    Row("A1", "error", "xen101_softmax_before_cross_entropy", (CE,)),
    Row("A2", "note", "xen102_log_softmax_before_cross_entropy", (CE,)),
    Row("A3", "error", "xen103_probabilities_into_nll_loss", (NLL,)),
    Row("A4", "error", "xen104_logits_into_nll_loss", (NLL,)),
    Row("A5", "error", "xen105_sigmoid_before_cross_entropy", (CE,)),
    Row("A6", "error", "xen106_sigmoid_twice", (BCE_LOGITS, BCE)),
    Row("A7", "error", "xen107_softmax_over_another_dim", (CE, NLL, KL)),
    Row("A8", "warning", "xen108_activation_on_logits", (CE,)),
    Row("A9", "error", "xen109_one_class", (CE,)),
    Row("A10", "error", "xen110_loss_of_a_decision", (CE, NLL, BCE, BCE_LOGITS)),
    Row("A11", "error", "xen111_loss_without_a_graph", ("backward", "step")),
    Row("A12", "warning", "xen112_log_of_softmax", (CE, NLL, KL, "backward")),
    Row("A13", "error", "xen113_scrambled_reshape", (CE, NLL, LINEAR, LOG_PROB)),
    Row("B1", "error", "xen201_one_hot_integers", ("error",)),
    Row("B2", "error", "xen202_target_with_an_extra_axis", ("error",)),
    Row("B3", "error", "xen203_labels_out_of_range", ("error", CE, NLL, LINEAR, LOG_PROB)),
    Row("B4", "error", "xen204_target_is_no_distribution", (CE, LINEAR)),
    Row("B5", "error", "xen205_classes_last", (CE, NLL, "error")),
    Row("B7", "error", "xen207_target_dtype", ("error",)),
    Row("B8", "warning", "xen208_values_in_place_of_indices", (CE, NLL, LINEAR)),
    Row("B9", "warning", "xen209_target_carries_gradient", (CE, LINEAR, KL, BCE, BCE_LOGITS)),
    Row("B10", "note", "xen210_ignore_index_is_a_class", (CE, NLL, LINEAR)),
    Row("B12", "note", "xen212_one_class_per_batch", (CE, NLL, LINEAR)),
    Row("B13", "error", "xen213_batch_and_classes_flattened", (CE,)),
    Row("C1", "note", "xen301_weighted_mean_denominator", (CE, NLL)),
    Row("C2", "warning", "xen302_class_weights_cancel", (CE, NLL, LINEAR)),
    Row("C3", "error", "xen303_weight_type", ("error",)),
    Row("C5", "error", "xen305_all_targets_ignored", (CE, NLL, LINEAR)),
    Row("C6", "error", "xen306_total_weight_is_zero", (CE, NLL, LINEAR)),
    Row("C7", "warning", "xen307_mean_of_means", ("accumulation",)),
    Row("C8", "error", "xen308_divided_twice", ("backward",)),
    Row("C9", "note", "xen309_epoch_mean_of_batch_means", ("evaluation",)),
    Row("C12", "error", "xen312_positional_slip", (CE, NLL, "error")),
    Row("D1", "note", "xen401_smoothing_twice", (CE, LINEAR)),
    Row("D2", "error", "xen402_ignored_rows_counted", ("crosscheck", "backward")),
    Row("D6", "error", "xen406_minus_infinity_has_mass", (CE,)),
    Row("D7", "warning", "xen407_loss_in_half_precision", (CE, NLL, LINEAR)),
    Row("D8", "error", "xen408_logits_not_finite", (*LOSSES, LOG_PROB)),
    Row("D9", "error", "xen409_loss_differs_from_reference", ("crosscheck",)),
    Row("D11", "warning", "xen411_first_loss_above_chance", (CE, LINEAR)),
    Row("D12", "warning", "xen412_cannot_overfit_one_batch", ("overfit",)),
    Row("E1", "error", "xen501_probabilities_into_kl_div", (KL,)),
    Row("E2", "error", "xen502_log_target", (KL,)),
    Row("E3", "warning", "xen503_kl_div_mean", (KL,)),
    Row("E4", "note", "xen504_batchmean_of_sequences", (KL,)),
    Row("E6", "error", "xen506_teacher_is_student", (KL,)),
    Row("F1", "error", "xen601_labels_not_shifted", (CE, LINEAR, LOG_PROB, "batch")),
    Row("F2", "error", "xen602_labels_shifted_twice", (CE, LINEAR, LOG_PROB, "batch")),
    Row("F3", "warning", "xen603_padding_counted", (CE, LINEAR, "batch")),
    Row("F4", "warning", "xen604_end_is_never_a_label", ("batch",)),
    Row("F5", "note", "xen605_prompt_counted", ("batch",)),
    Row("F7", "warning", "xen607_packed_boundaries", ("batch",)),
    Row("F8", "warning", "xen608_mass_beyond_the_vocabulary", ("batch",)),
    Row("F11", "warning", "xen611_regression_on_class_ids", ("mse_loss",)),
    Row("G1", "error", "xen701_void_label_255", ("error",)),
    Row("G2", "error", "xen702_grey_levels_as_labels", ("error",)),
    Row("G3", "error", "xen703_interpolated_mask", ("error", CE, NLL)),
    Row("G6", "warning", "xen706_focal_loss_of_the_mean", ("backward",)),
)

BY_CODE = {row.code: row for row in ROWS}


def rule(row: Row) -> ModuleType:
    """The rule's module: its page, its sentences, its tests."""
    return importlib.import_module(f"crossent.doctor.rules.{row.module}")


def looking_at(what: str) -> list[Row]:
    return [row for row in ROWS if what in row.looks_at]
