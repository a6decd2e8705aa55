#!/usr/bin/python3
"""Succeeds if a device of tun can be made here: in a network namespace of one's own, to be sure that nothing of the machine's is touched."""

import fcntl
import struct

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PACKET_INFORMATION = 0x1001

with open("/dev/net/tun", "r+b", buffering=0) as tun:
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"probe", IFF_TUN_NO_PACKET_INFORMATION))
