"""The trees that a race moves. Made once, the same every time, and kept for the next run."""

import itertools
import pathlib
import random

# A store of ten clusters as kOps writes it: 742 objects, most of them under 6 KB. Every twentieth
# of the sizes, then the few large ones.
STATE_SIZES = [13, 49, 55, 55, 112, 112, 112, 112, 375, 790, 1805, 1955, 1997, 2390, 3184, 4247, 4888, 5039, 5715, 8249]
STATE_LARGE = [16802] * 20 + [31948] * 8 + [156681] * 8 + [1021674]
STATE_OBJECTS = 742


def state(folder):
    """A tree with the sizes of a real store of ten clusters."""
    rng = random.Random(742)
    sizes = list(STATE_LARGE)
    while len(sizes) < STATE_OBJECTS:
        low, high = rng.choice(list(itertools.pairwise(STATE_SIZES)))
        sizes.append(rng.randint(low, high))
    names = (f"cluster-{i % 10}.example.com/part-{i // 10 % 9}/object-{i:03}" for i in range(STATE_OBJECTS))
    return make(folder, zip(names, sizes), rng)


def small(folder, count):
    """`count` objects of 4 to 16 KiB."""
    rng = random.Random(count)
    names = (f"cluster-{i % 10}/part-{i // 10 % 20:02}/object-{i:05}" for i in range(count))
    return make(folder, ((name, rng.randint(4 << 10, 16 << 10)) for name in names), rng)


def big(folder, size):
    """One object of `size` bytes."""
    return make(folder, [("big", size)], random.Random(size))


def make(folder, files, rng):
    folder = pathlib.Path(folder)
    done = folder.with_suffix(".done")
    if not done.exists():
        block = rng.randbytes(1 << 20)
        for name, size in files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                # Every block differs, so that nothing is won by noticing a repetition.
                for start in range(0, size, len(block)):
                    head = f"{name} {start}\n".encode()
                    file.write((head + block)[: min(len(block), size - start)])
        done.touch()
    return folder


def totals(folder):
    """The number of files in a tree, and of their bytes."""
    sizes = [path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)
