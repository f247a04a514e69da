"""Orders products by reciprocal-rank fusion of the legs, and prefers what is in stock."""

from dataclasses import dataclass

from taja import policy, settings
from taja.rank import Answer, Candidates, Ranked, best, numbers
from taja.settings import number
from wit_world import exports


@dataclass(frozen=True)
class Settings(settings.Settings):
    """The settings, with the defaults of `plugin.toml`."""

    k: float = number(60, least=1, most=10_000)
    in_stock: float = number(0.2, least=0, most=1)


class Ranking(exports.Ranking):
    @policy
    def rank(self, candidates: Candidates) -> Ranked:
        settings = Settings.parse(candidates.settings)
        stock = numbers(candidates, "stock")
        answer = Answer(candidates)
        for product, score in enumerate(best(candidates).fused(settings.k)):
            if stock[product]:
                answer.put(product, score * (1 + settings.in_stock), "in stock")
            else:
                answer.put(product, score)
        return answer.finish()
