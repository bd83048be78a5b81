"""What one client may send before anything is decoded, in virtual time."""

from signaling.domain.intake import HEADROOM, PATIENCE, PATIENCE_PER_S, Intake, IntakeRates

RATES = IntakeRates(messages_per_s=10, message_burst=20, bytes_per_s=1_000, byte_burst=5_000)


def test_messages_beyond_the_burst_are_not_decoded_until_time_has_passed() -> None:
    intake = Intake(RATES, 0)
    assert sum(intake.admits(1, 0) for _ in range(100)) == HEADROOM * RATES.message_burst
    assert not intake.admits(1, 10)
    assert intake.admits(1, 100)


def test_bytes_count_as_messages_do() -> None:
    intake = Intake(RATES, 0)
    assert intake.admits(4_000, 0)
    assert not intake.admits(4_000, 0)
    assert intake.admits(1_000, 0)
    assert not intake.admits(2_000, 1_000)
    assert intake.admits(2_000, 2_000)


def test_who_goes_on_is_borne_no_longer_and_single_refusals_are_forgotten() -> None:
    intake = Intake(RATES, 0)
    assert sum(intake.tolerates(0) for _ in range(1_000)) == PATIENCE
    later = Intake(RATES, 0)
    assert all(later.tolerates(int(n * 1_000 / PATIENCE_PER_S)) for n in range(1_000))
