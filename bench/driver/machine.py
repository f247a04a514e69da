"""What the figures were made on."""

import os
import platform
from pathlib import Path

# What decides how fast matrix products are.
FEATURES = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimddp", "bf16", "i8mm", "sve")


def _cpuinfo() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def describe() -> dict[str, str]:
    """Model, features, cores, memory, kernel, load average."""
    info = _cpuinfo()
    flags = set(info.get("flags", info.get("Features", "")).split())
    processor = info.get("model name", platform.machine())
    if family := info.get("cpu family"):
        processor += f" (family {family}, model {info.get('model', '?')})"
    return {
        "processor": processor,
        "features": ", ".join(name for name in FEATURES if name in flags) or "none of those looked for",
        "without": ", ".join(name for name in ("avx512_bf16", "amx_bf16") if name not in flags),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{_memory_gib():.0f} GiB",
        "kernel": platform.release().split("-")[0],
        "load average": " ".join(f"{value:.1f}" for value in os.getloadavg()),
    }
