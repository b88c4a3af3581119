loss = F.cross_entropy(model(x), F.softmax(teacher(x), 1))  # XEN209
loss.backward()
