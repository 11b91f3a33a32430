"""AES by the library cryptography, in the form of `openssl enc -aes-256-cbc -pbkdf2`."""

from __future__ import annotations

import hashlib
import os

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

_MAGIC = b"Salted__"
_SALT, _KEY, _VECTOR = 8, 32, 16
_ROUNDS = 10_000


def encrypt(data: bytes, password: str) -> bytes:
    """Data to "Salted__", a new salt, and the encrypted data."""
    salt = os.urandom(_SALT)
    padder, encryptor = PKCS7(AES.block_size).padder(), _cipher(password, salt).encryptor()
    padded = padder.update(data) + padder.finalize()
    return _MAGIC + salt + encryptor.update(padded) + encryptor.finalize()


def decrypt(data: bytes, password: str) -> bytes:
    """What `encrypt` or openssl made, to the data; raises ValueError for anything else."""
    start = len(_MAGIC) + _SALT
    salt, body = data[len(_MAGIC) : start], data[start:]
    decryptor, unpadder = _cipher(password, salt).decryptor(), PKCS7(AES.block_size).unpadder()
    padded = decryptor.update(body) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()


def _cipher(password: str, salt: bytes) -> Cipher[CBC]:
    made = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS, _KEY + _VECTOR)
    return Cipher(AES(made[:_KEY]), CBC(made[_KEY:]))
