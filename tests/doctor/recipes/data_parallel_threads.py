"""Replicas in threads, as nn.DataParallel runs them."""
import threading


def work(part):
    F.cross_entropy(model(x[part]), y[part]).backward()

threads = [threading.Thread(target=work, args=(slice(16 * i, 16 * i + 16),)) for i in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
