"""A program: a server of the live page that prints its address, until its standard input ends."""

import sys

from onstage_live import Server

if __name__ == "__main__":
    with Server(port=0, store=sys.argv[1]) as server:
        print(server.url, flush=True)
        sys.stdin.read()
