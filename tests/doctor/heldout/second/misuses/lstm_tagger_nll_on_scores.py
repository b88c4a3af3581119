"""The LSTM tagger of the tutorial, with the log_softmax line lost while refactoring."""
import torch
import torch.nn as nn
import torch.optim as optim

word_to_ix = {w: i for i, w in enumerate("the dog ate apple everybody read that book".split())}
tag_to_ix = {"DET": 0, "NN": 1, "V": 2}
training_data = [("the dog ate the apple".split(), ["DET", "NN", "V", "DET", "NN"]), ("everybody read that book".split(), ["NN", "V", "DET", "NN"])]


class LSTMTagger(nn.Module):
    def __init__(self, embedding_dim, hidden_dim, vocab_size, tagset_size):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim)
        self.hidden2tag = nn.Linear(hidden_dim, tagset_size)

    def forward(self, sentence):
        lstm_out, _ = self.lstm(self.word_embeddings(sentence).view(len(sentence), 1, -1))
        return self.hidden2tag(lstm_out.view(len(sentence), -1))


torch.manual_seed(208)
model = LSTMTagger(6, 6, len(word_to_ix), len(tag_to_ix))
loss_function, optimizer = nn.NLLLoss(), optim.SGD(model.parameters(), lr=0.1)
for epoch in range(5):
    for sentence, tags in training_data:
        model.zero_grad()
        tag_scores = model(torch.tensor([word_to_ix[w] for w in sentence]))
        loss = loss_function(tag_scores, torch.tensor([tag_to_ix[t] for t in tags]))  # XEN104
        loss.backward()
        optimizer.step()
