"""Addresses, names and Services of pods.

`netlink` is the kernel's wire format, `addresses` hands out pod IPs, `names` and `dns` resolve, `proxy` and `services`
carry Service traffic. Kept free of imports: the sandbox's broker loads `netlink` and must stay small.
"""
