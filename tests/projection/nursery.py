"""A process that does nothing but bring up children, which kill themselves in the middle of their work.

It reads one JSON object a line, forks, waits for the child, and answers with how that one ended. A child is made from
what is imported already, so a hundred of them take seconds.
"""

import json
import os
import sys
from datetime import datetime

import kit

import iotstore
import iotstore_sqlite.store  # noqa: F401 - imported once, not by each child
from iotstore import ManualClock


def child(task: dict) -> int:
    cuts = kit.Cuts(at=task["at"], when=task["when"], action=kit.kill_self)
    clock = ManualClock(datetime.fromisoformat(task["now"]))
    store = kit.open_composed(task["primary"], task["target"], clock=clock)
    if task.get("graph"):
        kit.with_graph(store)
    if task["side"] == "primary":
        kit.cut_primary(store, cuts)
    else:
        kit.cut_target(store, cuts)
    if task["role"] == "writer":
        for number in range(task.get("rounds", 1)):
            kit.play(store, seed=task["seed"] + number, steps=task["steps"])
    else:
        store.projection.sync()
    store.close()
    return 0


def main() -> None:
    for line in sys.stdin:
        task = json.loads(line)
        if task["primary"].startswith("postgresql"):
            import iotstore_postgres.store  # noqa: F401 - as above
        number = os.fork()
        if number == 0:
            code = 70
            try:
                code = child(task)
            except BaseException as error:  # noqa: BLE001 - the child ends here, whatever it was
                sys.stderr.write(f"{task}: {error!r}\n")
                sys.stderr.flush()
            finally:
                os._exit(code)
        _, status = os.waitpid(number, 0)
        ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        sys.stdout.write(json.dumps({"ended": ended}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    assert iotstore
    main()
