"""Who signed what: statements about images, their signatures, and whom a place trusts."""

from generator.trust.check import Identity, Mistrusted, Trust, Verified
from generator.trust.signer import Signer, keyless_signer, signer_of_key

__all__ = ["Identity", "Mistrusted", "Signer", "Trust", "Verified", "keyless_signer", "signer_of_key"]
