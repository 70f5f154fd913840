"""A sequential design: arms, ratio, strata and the rule by which whoever comes next is allocated."""

from collections.abc import Mapping
from fractions import Fraction
from math import lcm
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from rct.trial_tables import Arms
from rct.trial_values import Count, Name, Whole, exact_share, positive_fraction

Probability = Annotated[Fraction, BeforeValidator(exact_share), PlainSerializer(str)]
Weight = Annotated[Fraction, BeforeValidator(positive_fraction), PlainSerializer(str)]


class Model(BaseModel):
    """A part of a sequential design: frozen, and any key it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PermutedBlocks(Model):
    """Blocks of the given sizes, each in random order; of several sizes each block's is drawn, and hidden."""

    kind: Literal["permuted-blocks"] = "permuted-blocks"
    sizes: tuple[Count, ...] = Field(min_length=1)


class BiasedCoin(Model):
    """Efron's coin (1971): the arm that is behind gets probability p, at a tie each one half."""

    kind: Literal["biased-coin"] = "biased-coin"
    p: Probability = Fraction(2, 3)


class Urn(Model):
    """Wei's adaptive coin (1978): P(A) = (alpha + beta·n_B) / (2·alpha + beta·n), one half where 0/0."""

    kind: Literal["urn"] = "urn"
    alpha: Whole = 1
    beta: Whole = 1


class BigStick(Model):
    """Soares and Wu (1983): a fair coin until one arm leads by ``lead``, then the other arm."""

    kind: Literal["big-stick"] = "big-stick"
    lead: Count


class Minimisation(Model):
    """Pocock and Simon (1975): probability p for the arm that leaves the factors best balanced."""

    kind: Literal["minimisation"] = "minimisation"
    factors: tuple[Name, ...] = Field(min_length=1)
    weights: tuple[Weight, ...] = ()
    imbalance: Literal["range", "variance", "sd"] = "range"
    p: Probability = Fraction(4, 5)


Rule = Annotated[PermutedBlocks | BiasedCoin | Urn | BigStick | Minimisation, Field(discriminator="kind")]


class SequentialDesign(Model):
    """Arms, their ratio, and the rule by which whoever comes next is allocated.

    Attributes
    ----------
    arms
        Names, the control first.
    ratio
        Whole numbers, one for each arm; equal where absent. Only permuted blocks and minimisation have one.
    strata
        Characteristics (district, rank) within whose combinations the rule runs by itself.
    rule
        :class:`PermutedBlocks`, :class:`BiasedCoin`, :class:`Urn`, :class:`BigStick` or
        :class:`Minimisation`.
    """

    arms: tuple[Name, ...] = Field(min_length=2)
    ratio: tuple[Count, ...] = ()
    strata: tuple[Name, ...] = ()
    rule: Rule

    @model_validator(mode="after")
    def _consistent(self) -> "SequentialDesign":
        problem = _inconsistency(self)
        if problem:
            raise ValueError(problem)
        return self

    @property
    def shares(self) -> tuple[int, ...]:
        """The ratio, ones where it is equal."""
        return self.ratio or (1,) * len(self.arms)

    @property
    def characteristics(self) -> tuple[str, ...]:
        """What must be known of somebody who is enrolled."""
        return self.rule.factors if isinstance(self.rule, Minimisation) else self.strata


def arms_and_ratio(arms: Arms) -> dict[str, tuple[str, ...] | tuple[int, ...]]:
    """Give the arms of a trial and the ratio of their shares, as a design of its late joiners takes them.

    Returns
    -------
    dict
        ``arms``, the control first, and ``ratio`` in the least whole numbers, empty where shares are equal.
    """
    named = arms.probabilities.by_arm
    left = 1 - sum(named.values(), Fraction(0))
    shares = [named.get(name, left) for name in arms.names] if named else []
    common = lcm(*(share.denominator for share in shares))
    ratio = tuple(int(share * common) for share in shares)
    return {"arms": arms.names, "ratio": ratio if len(set(ratio)) > 1 else ()}


def _inconsistency(design: SequentialDesign) -> str | None:
    rule, arms = design.rule, len(design.arms)
    repeated: Mapping[str, tuple[str, ...]] = {"arms": design.arms, "characteristics": design.characteristics}
    for what, names in repeated.items():
        if len(set(names)) < len(names):
            return f"{what} appear more than once: {', '.join(names)}"
    if design.ratio and len(design.ratio) != arms:
        return f"ratio has {len(design.ratio)} numbers for {arms} arms"
    if isinstance(rule, BiasedCoin | Urn | BigStick):
        return _not_two_equal_arms(design, rule)
    if isinstance(rule, PermutedBlocks):
        bad = [size for size in rule.sizes if size % sum(design.shares)]
        return (
            f"a block of {bad[0]} cannot hold the ratio {':'.join(map(str, design.shares))}" if bad else None
        )
    if design.strata:
        return "minimisation balances its factors by itself; name no strata"
    if rule.weights and len(rule.weights) != len(rule.factors):
        return f"weights has {len(rule.weights)} numbers for {len(rule.factors)} factors"
    return f"p = {rule.p} does not favour the better arm" if rule.p * arms <= 1 else None


def _not_two_equal_arms(design: SequentialDesign, rule: BiasedCoin | Urn | BigStick) -> str | None:
    if len(design.arms) != 2 or len(set(design.shares)) > 1:
        return f"the rule {rule.kind} is for two arms in equal shares"
    if isinstance(rule, BiasedCoin) and rule.p < Fraction(1, 2):
        return f"p = {rule.p} favours the arm that leads"
    return None
