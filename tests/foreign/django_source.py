"""Makes the database of a Django service as an import meets it: users by every hasher that Django ships, groups, permissions, and
SimpleJWT's blacklist.

Reads {"secret": text, "database": an entry of DATABASES} from standard input; writes
{"password", "users": [{"id", "username", "algorithm", "usable"}, ...], "good", "refused", "rotated"}: the last three are refresh tokens of
the first user, of which the first has not been used.
"""
import json
import sys

import django
from django.conf import settings

request = json.load(sys.stdin)
HASHERS = ["PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "Scrypt", "MD5", "SHA1", "UnsaltedMD5", "UnsaltedSHA1"]
INSECURE = {"md5", "sha1", "unsalted_md5", "unsalted_sha1"}
settings.configure(
    SECRET_KEY=request["secret"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework_simplejwt.token_blacklist"],
    DATABASES={"default": request["database"]},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{name}PasswordHasher" for name in HASHERS],
    SIMPLE_JWT={"SIGNING_KEY": request["secret"], "ALGORITHM": "HS256"},
)
django.setup()
from django.contrib.auth.hashers import get_hashers  # noqa: E402  (needs the settings)
from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402

PASSWORD = "wanderlust-42 ☃"
call_command("migrate", verbosity=0)

users = []
for hasher in get_hashers():
    salt = "" if hasher.algorithm.startswith("unsalted") else hasher.salt()
    user = User(username=f"by_{hasher.algorithm}", email=f"{hasher.algorithm}@example.com", first_name="Ann", last_name="Example")
    user.password = hasher.encode(PASSWORD, salt)
    user.save()
    usable = hasher.algorithm not in INSECURE
    users.append({"id": user.id, "username": user.username, "algorithm": hasher.algorithm, "usable": usable})

editors = Group.objects.create(name="Editors")
editors.permissions.add(Permission.objects.get(content_type__app_label="auth", codename="add_user"))
first, second = User.objects.order_by("id")[:2]
first.groups.add(editors)
first.user_permissions.add(Permission.objects.get(content_type__app_label="auth", codename="view_group"))
User.objects.create(username="gone").delete()

good, refused = RefreshToken.for_user(first), RefreshToken.for_user(first)
refused.blacklist()
# As a rotation makes them: older versions of SimpleJWT know no user for these.
rotated = RefreshToken.for_user(first)
rotated.set_jti()
rotated.blacklist()
answer = {"password": PASSWORD, "users": users, "good": str(good), "refused": str(refused), "rotated": str(rotated)}
json.dump(answer, sys.stdout)
