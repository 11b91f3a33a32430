from __future__ import annotations

from towline.secret import Login


def test_a_login_does_not_show_its_password() -> None:
    assert "hunter2hunter2" not in repr(
        Login(username="anna", password="hunter2hunter2", origin="PIPER_password")
    )
