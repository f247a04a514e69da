"""What plugins of Taja are written with in Python.

    from taja import policy
    from taja.rank import Answer, Candidates, Ranked, best
    from wit_world import exports

    class Ranking(exports.Ranking):
        @policy
        def rank(self, candidates: Candidates) -> Ranked:
            answer = Answer(candidates)
            for product, score in enumerate(best(candidates).fused()):
                answer.put(product, score)
            return answer.finish()

`rank`, `search` and `ingest` hold the contract of each kind, `settings` reads what a tenant set, `log` writes lines for
the operator, `testing` makes candidates for native tests.

A component is a picture of Python's memory after `plugin.py` was imported, and every call begins from it. So import
everything at the top of a module, and compute there what is the same for every call: it costs a call nothing.
"""

from .guard import policy

__all__ = ["policy"]
