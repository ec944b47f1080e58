"""Makes hashes.txt: hashes as the programs themselves make them. Each line: made by, password, hash, with tabs between.

    pip install Django==5.2.19 Werkzeug==3.1.9 passlib==1.7.4 bcrypt==4.0.1 argon2-cffi==25.1.0 && python make.py
"""

from pathlib import Path

import argon2
import bcrypt
import django
from django.conf import settings
from passlib import hash as passlib
from werkzeug.security import generate_password_hash

settings.configure(
    PASSWORD_HASHERS=[
        "django.contrib.auth.hashers." + name
        for name in (
            "PBKDF2PasswordHasher",
            "PBKDF2SHA1PasswordHasher",
            "Argon2PasswordHasher",
            "BCryptSHA256PasswordHasher",
            "BCryptPasswordHasher",
            "ScryptPasswordHasher",
        )
    ]
)
django.setup()
from django.contrib.auth.hashers import get_hasher, make_password  # noqa: E402

BCRYPT_SALT = b"$2b$04$abcdefghijklmnopqrstuu"
PASSWORDS = ["correct horse", "contraseña ñandú 🐢", "x" * 100]
lines = ["# by\tpassword\thash: made by make.py"]


def add(by, password, made):
    lines.append(f"{by}\t{password}\t{made}")


for password in PASSWORDS:
    raw = password.encode()
    short = raw[:72] if len(password) == 100 else raw
    for prefix in (b"2a", b"2b"):
        add("bcrypt " + prefix.decode(), password, bcrypt.hashpw(short, bcrypt.gensalt(5, prefix=prefix)).decode())
    add("bcrypt 2y", password, bcrypt.hashpw(short, bcrypt.gensalt(5)).decode().replace("$2b$", "$2y$"))
    for name in ("pbkdf2_sha256", "pbkdf2_sha1"):
        add("django " + name, password, get_hasher(name).encode(password, "saltsaltsaltsaltsalt22", 1000))
    add("django argon2", password, make_password(password, hasher="argon2"))
    add("django bcrypt_sha256", password, get_hasher("bcrypt_sha256").encode(password, BCRYPT_SALT))
    if len(raw) <= 72:
        add("django bcrypt", password, get_hasher("bcrypt").encode(password, BCRYPT_SALT))
    add("django scrypt", password, make_password(password, hasher="scrypt"))
    for method in ("pbkdf2:sha256:1000", "pbkdf2:sha1:1000", "pbkdf2:sha512:1000", "scrypt", "scrypt:16384:8:2"):
        add("werkzeug " + method, password, generate_password_hash(password, method))
    add("passlib pbkdf2_sha1", password, passlib.pbkdf2_sha1.using(rounds=1000).hash(password))
    add("passlib pbkdf2_sha256", password, passlib.pbkdf2_sha256.using(rounds=1000).hash(password))
    add("passlib pbkdf2_sha512", password, passlib.pbkdf2_sha512.using(rounds=1000).hash(password))
    add("passlib bcrypt_sha256", password, passlib.bcrypt_sha256.using(rounds=5).hash(password))
    add("passlib argon2", password, passlib.argon2.using(memory_cost=1024, time_cost=2, parallelism=2).hash(password))
    add("argon2-cffi id", password, argon2.PasswordHasher(2, 1024, 4).hash(password))
    add("argon2-cffi i", password, argon2.PasswordHasher(2, 1024, 1, type=argon2.Type.I).hash(password))

Path(__file__).with_name("hashes.txt").write_text("\n".join(lines) + "\n", "utf-8")
print(len(lines) - 1, "hashes")
