"""python -m dualgan: the same as `dualgan`."""

from dualgan.cli import program

if __name__ == "__main__":
    program()
