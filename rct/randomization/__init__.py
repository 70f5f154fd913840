"""Trial + roster → Allocation: who gets which sequence, reproducibly, and the proof of it."""

from rct.randomization.acceptance import acceptance_threshold, remaining_variance
from rct.randomization.allocation import Allocation, randomize
from rct.randomization.balance import (
    balance_covariates,
    balance_table,
    block_counts,
    standardized_differences,
)
from rct.randomization.certificate import LEVELS
from rct.randomization.coassignment import co_assignment, restriction_notes
from rct.randomization.commitment import Commitment
from rct.randomization.committing import commit
from rct.randomization.ledger import Ledger, Receipt
from rct.randomization.ledger_check import LedgerVerification, verify_ledger
from rct.randomization.omnibus_test import BalanceTest, balance_test
from rct.randomization.rosters import read_roster
from rct.randomization.sequential_design import (
    BiasedCoin,
    BigStick,
    Minimisation,
    PermutedBlocks,
    SequentialDesign,
    Urn,
    arms_and_ratio,
)
from rct.randomization.shift_calendar import cells_of, shift_cells
from rct.randomization.verification import Verification, verify

__all__ = [
    "LEVELS",
    "Allocation",
    "BalanceTest",
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
    "acceptance_threshold",
    "arms_and_ratio",
    "balance_covariates",
    "balance_table",
    "balance_test",
    "block_counts",
    "cells_of",
    "co_assignment",
    "commit",
    "randomize",
    "read_roster",
    "remaining_variance",
    "restriction_notes",
    "shift_cells",
    "standardized_differences",
    "verify",
    "verify_ledger",
]
