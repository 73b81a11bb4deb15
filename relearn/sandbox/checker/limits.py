"""What the program may use up, and which calls the kernel refuses it."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38

libc = ctypes.CDLL(None, use_errno=True)
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x10000
# Calls that reach beyond the process: network, new processes and programs, signals, tracing, mounts, namespaces, keys,
# shared memory that outlives its maker.
_DENIED = {
    "x86_64": (
        0xC000003E,
        """socket=41 connect=42 accept=43 sendto=44 sendmsg=46 bind=49 listen=50 fork=57 vfork=58 execve=59 execveat=322
        kill=62 tkill=200 rt_sigqueueinfo=129 rt_tgsigqueueinfo=297 pidfd_send_signal=424 pidfd_open=434
        pidfd_getfd=438 ptrace=101 process_vm_readv=310 process_vm_writev=311 kcmp=312 setpgid=109 setsid=112
        mknod=133 mknodat=259 personality=135 pivot_root=155 chroot=161 mount=165 umount2=166 unshare=272 setns=308
        init_module=175 finit_module=313 bpf=321 userfaultfd=323 perf_event_open=298 io_uring_setup=425
        add_key=248 request_key=249 keyctl=250 name_to_handle_at=303 open_by_handle_at=304
        shmget=29 semget=64 msgget=68 mq_open=240""",
        {"clone": 56, "clone3": 435, "tgkill": 234, "prlimit": 302},
    ),
    "aarch64": (
        0xC00000B7,
        """socket=198 connect=203 accept=202 sendto=206 sendmsg=211 bind=200 listen=201 execve=221 execveat=281
        kill=129 tkill=130 rt_sigqueueinfo=138 rt_tgsigqueueinfo=240 pidfd_send_signal=424 pidfd_open=434
        pidfd_getfd=438 ptrace=117 process_vm_readv=270 process_vm_writev=271 kcmp=272 setpgid=154 setsid=157
        mknodat=33 personality=92 pivot_root=41 chroot=51 mount=40 umount2=39 unshare=97 setns=268
        init_module=105 finit_module=273 bpf=280 userfaultfd=282 perf_event_open=241 io_uring_setup=425
        add_key=217 request_key=218 keyctl=219 name_to_handle_at=264 open_by_handle_at=265
        shmget=194 semget=190 msgget=186 mq_open=180""",
        {"clone": 220, "clone3": 435, "tgkill": 131, "prlimit": 261},
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def set_seccomp() -> bool:
    """Has the kernel refuse, from here on, what `_DENIED` lists (EPERM); False where it cannot be set up.

    Needs no privilege, and holds where rlimits do not: the limit on processes is not applied to root.
    """
    machine = _DENIED.get(os.uname().machine)
    if machine is None:
        return False
    arch, denied, special = machine
    load, jump_equal, jump_set, jump_more, ret = 0x20, 0x15, 0x45, 0x35, 0x06
    refuse, missing = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (jump_equal, 1, 0, arch),
        (ret, 0, 0, _KILL),
        (load, 0, 0, 0),
        (jump_more, 0, 1, 0x40000000),
        (ret, 0, 0, _KILL),
    ]
    for number in (int(call.partition("=")[2]) for call in denied.split()):
        code += [(jump_equal, 0, 1, number), (ret, 0, 0, refuse)]
    code += [(jump_equal, 0, 1, special["clone3"]), (ret, 0, 0, missing)]
    code += [(jump_equal, 0, 3, special["clone"]), (load, 0, 0, 16), (jump_set, 1, 0, _CLONE_THREAD)]
    code += [(ret, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(jump_equal, 0, 4, special["tgkill"]), (load, 0, 0, 16), (jump_equal, 1, 0, os.getpid())]
    code += [(ret, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(jump_equal, 0, 4, special["prlimit"]), (load, 0, 0, 16), (jump_equal, 1, 0, 0)]
    code += [(ret, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(ret, 0, 0, _ALLOW)]
    packed = b"".join(struct.pack("=HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    program = _Program(len(code), ctypes.cast(buffer, ctypes.c_void_p))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0) == 0)


def set_rlimits(limits: dict[str, int]) -> None:
    """rlimits of this process and those it starts: CPU seconds, memory, file size, open files, processes."""
    pairs = (
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_AS, limits["memory_mb"] << 20),
        (resource.RLIMIT_FSIZE, limits["file_mb"] << 20),
        (resource.RLIMIT_NOFILE, limits["files"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_CORE, 0),
    )
    for what, value in pairs:
        _, hard = resource.getrlimit(what)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))
