#!/usr/bin/env python3
"""Plants one violation of each rule in a small house of its own and sees tests/tidy/run find it."""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TABLE = """<!-- includes:begin -->
| room | may include |
|---|---|
| base | |
| raft | base |
| net | base |
<!-- includes:end -->
"""
OPERATOR_TABLE = """<!-- includes:begin -->
| room | may include |
|---|---|
| reconcile | base |
| kube | base |
<!-- includes:end -->
"""
CLEAN = {
    "datastore/README.md": TABLE,
    "operator/README.md": OPERATOR_TABLE,
    "operator/kube/README.md": "kube\n",
    "operator/reconcile/README.md": "reconcile\n",
    "datastore/base/README.md": "base\n",
    "datastore/raft/README.md": "raft\n",
    "datastore/net/README.md": "net\n",
    "datastore/base/ids.h": "#pragma once\n",
    "datastore/raft/log.h": '#pragma once\n\n#include "datastore/base/ids.h"\n',
    "datastore/net/loop.cpp": '#include <thread>\n\n#include "datastore/base/ids.h"\n',
}
# file, its content, what tidy must say
PLANTED = [
    ("datastore/raft/a.cpp", '#include "datastore/net/loop.h"\n', "raft may not include net"),
    ("datastore/base/a.cpp", '#include "datastore/raft/log.h"\n', "base may not include raft"),
    ("datastore/net/a.cpp", '#include "operator/api/spec.h"\n', "may not include the operator"),
    ("operator/kube/a.cpp", '#include "operator/reconcile/plan.h"\n', "kube may not include reconcile"),
    ("operator/reconcile/a.cpp", "#include <thread>\n", "reconcile is sealed: no threads"),
    ("datastore/net/b.cpp", '#include "datastore/base/kv.pb.h"\n', "protobuf types stop at the edges"),
    ("datastore/attic/a.cpp", '#include "datastore/base/ids.h"\n', "room attic is not in the table"),
    ("datastore/attic/b.cpp", "int x;\n", "a room needs a README.md"),
    ("datastore/raft/b.cpp", "#include <thread>\n", "raft is sealed: no threads"),
    ("datastore/raft/c.cpp", "#include <random>\n", "raft is sealed: no dice"),
    ("datastore/raft/d.cpp", "#include <sys/stat.h>\n", "raft is sealed: no the OS"),
    ("datastore/raft/e.cpp", "auto t = std::chrono::steady_clock::now();\n", "no a clock"),
    ("datastore/raft/f.cpp", '#include "spdlog/spdlog.h"\n', "no logs and metrics"),
    ("datastore/raft/g.cpp", "int x = std::rand();\n", "no the machine's state"),
    ("datastore/base/b.h", "int x;\n", "a header needs #pragma once"),
    ("datastore/base/c.cpp", "int   x;\n", "is not as clang-format-19"),
    ("datastore/base/d.cpp", '#include "../net/loop.h"\n', "include by the path"),
    ("notes.md", "see /" + "work/main/x\n", "a path of one machine"),
    ("fetch.sh", "curl https://proxy.golang" + ".org/x\n", "a package registry's host"),
]


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def tidy(root):
    done = subprocess.run([sys.executable, str(HERE / "run"), "--root", str(root)],
                          capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def main():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        write(root, CLEAN)
        (root / ".clang-format").write_text((HERE.parents[1] / ".clang-format").read_text())
        code, output = tidy(root)
        if code != 0:
            print(f"tidy's self-test: a clean house was refused:\n{output}")
            return 1
        write(root, {name: content for name, content, _ in PLANTED})
        code, output = tidy(root)
        has_clang_format = "clang-format-19:0: warning" not in output
        missed = [f"{name}: {what}" for name, _, what in PLANTED
                  if not any(line.startswith(name.rsplit("/", 1)[0] if "README" in what else name)
                             and what in line for line in output.splitlines())
                  and (has_clang_format or "clang-format" not in what)]
        if code != 1 or missed:
            print("tidy's self-test: planted violations were not found:", *missed, sep="\n  ")
            return 1
    print(f"tidy's self-test: found all {len(PLANTED)} planted violations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
