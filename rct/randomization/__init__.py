"""Trial + roster → Allocation: who gets which sequence, reproducibly, and the proof of it."""

from rct.randomization.allocation import Allocation, randomize
from rct.randomization.balance import balance_table, block_counts
from rct.randomization.certificate import LEVELS
from rct.randomization.commitment import Commitment
from rct.randomization.committing import commit
from rct.randomization.ledger import Ledger, Receipt
from rct.randomization.ledger_check import LedgerVerification, verify_ledger
from rct.randomization.rosters import read_roster
from rct.randomization.sequential_design import (
    BiasedCoin,
    BigStick,
    Minimisation,
    PermutedBlocks,
    SequentialDesign,
    Urn,
)
from rct.randomization.verification import Verification, verify

__all__ = [
    "LEVELS",
    "Allocation",
    "BiasedCoin",
    "BigStick",
    "Commitment",
    "Ledger",
    "LedgerVerification",
    "Minimisation",
    "PermutedBlocks",
    "Receipt",
    "SequentialDesign",
    "Urn",
    "Verification",
    "balance_table",
    "block_counts",
    "commit",
    "randomize",
    "read_roster",
    "verify",
    "verify_ledger",
]
