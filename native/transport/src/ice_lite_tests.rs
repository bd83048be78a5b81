use super::*;
use crate::stun::{BindingRequest, write_binding_request};

const TIMEOUT: Duration = Duration::from_secs(30);

fn ice() -> IceLite {
    IceLite::new("server".into(), "secret password".into(), TIMEOUT)
}

fn check(username: &str, password: &str, use_candidate: bool) -> Vec<u8> {
    let request = BindingRequest {
        transaction_id: [3; 12],
        username,
        priority: 1,
        controlling: 5,
        use_candidate,
    };
    let mut out = vec![0; 300];
    let length = write_binding_request(&request, password.as_bytes(), &mut out);
    out.truncate(length);
    out
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn valid(nominating: bool) -> Vec<u8> {
    check("server:client", "secret password", nominating)
}

#[test]
fn the_first_valid_check_selects_its_source_and_is_answered() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    assert_eq!((ice.remote(), ice.consent_expires()), (None, None));
    let datagram = valid(false);
    let outcome = ice.handle_request(now, address(1), true, &datagram, &mut out);
    let IceOutcome::Reply {
        length,
        newly_validated: true,
        moved: false,
        pending: false,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert!(length <= datagram.len());
    let response = stun::parse_response(&out[..length]).unwrap();
    assert_eq!(response.mapped, Some(address(1)));
    assert_eq!(response.transaction_id, [3; 12]);
    stun::verify_integrity(&out[..length], b"secret password").unwrap();
    assert_eq!(ice.remote(), Some(address(1).into()));
    assert_eq!(ice.consent_expires(), Some(now + TIMEOUT));
}

#[test]
fn checks_for_others_are_ignored_by_reason_and_change_nothing() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    for (datagram, reason) in [
        (
            check("other:client", "secret password", true),
            Ignored::UnknownUfrag,
        ),
        (
            check("server", "secret password", true),
            Ignored::UnknownUfrag,
        ),
        (
            check("server2:client", "secret password", true),
            Ignored::UnknownUfrag,
        ),
        (check("server:client", "guess", true), Ignored::Unauthentic),
        (vec![0; 20], Ignored::NotARequest(StunError::NotStun)),
    ] {
        let outcome = ice.handle_request(now, address(1), true, &datagram, &mut out);
        assert_eq!(outcome, IceOutcome::Ignored(reason));
    }
    assert_eq!((ice.remote(), ice.consent_expires()), (None, None));
    assert_eq!(out, [0; 128]);
}

#[test]
fn only_a_nominating_check_replaces_an_active_address() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    ice.handle_request(now, address(1), true, &valid(true), &mut out);
    let later = now + Duration::from_secs(2);
    let outcome = ice.handle_request(later, address(2), true, &valid(false), &mut out);
    assert!(matches!(outcome, IceOutcome::Reply { moved: false, .. }));
    assert_eq!(ice.remote(), Some(address(1).into()));
    assert_eq!(ice.consent_expires(), Some(now + TIMEOUT));
    let outcome = ice.handle_request(later, address(2), true, &valid(true), &mut out);
    assert!(matches!(
        outcome,
        IceOutcome::Reply {
            moved: true,
            newly_validated: false,
            ..
        }
    ));
    assert_eq!(ice.remote(), Some(address(2).into()));
    assert_eq!(ice.consent_expires(), Some(later + TIMEOUT));
}

#[test]
fn any_valid_check_replaces_a_silent_address() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    ice.handle_request(now, address(1), true, &valid(true), &mut out);
    let guess = check("server:client", "guess", true);
    ice.handle_request(now + SILENCE_TIMEOUT, address(2), true, &guess, &mut out);
    assert_eq!(ice.remote(), Some(address(1).into()));
    ice.handle_request(
        now + SILENCE_TIMEOUT,
        address(2),
        true,
        &valid(false),
        &mut out,
    );
    assert_eq!(ice.remote(), Some(address(2).into()));
}

#[test]
fn after_a_connection_ends_the_next_valid_check_selects_its_source_and_consent_stays() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    let connected = PeerAddress {
        address: address(1),
        connection: NonZeroU32::new(7),
    };
    ice.handle_request(now, connected, true, &valid(true), &mut out);
    assert_eq!(ice.remote(), Some(connected));
    ice.forget_remote();
    assert_eq!(ice.remote(), None);
    assert_eq!(ice.consent_expires(), Some(now + TIMEOUT));
    let outcome = ice.handle_request(now, address(1), true, &valid(false), &mut out);
    let IceOutcome::Reply {
        newly_validated: false,
        moved: true,
        ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(ice.remote(), Some(address(1).into()));
}

#[test]
fn after_a_restart_only_checks_with_the_new_credentials_select_an_address() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    ice.handle_request(now, address(1), true, &valid(true), &mut out);
    ice.restart("again".into(), "another password".into());
    assert_eq!(ice.remote(), Some(address(1).into()));
    let outcome = ice.handle_request(now, address(2), true, &valid(true), &mut out);
    assert_eq!(outcome, IceOutcome::Ignored(Ignored::UnknownUfrag));
    let mixed = check("again:client", "secret password", true);
    let outcome = ice.handle_request(now, address(2), true, &mixed, &mut out);
    assert_eq!(outcome, IceOutcome::Ignored(Ignored::Unauthentic));
    assert_eq!(ice.remote(), Some(address(1).into()));
    let renewed = check("again:client", "another password", false);
    ice.handle_request(now, address(2), true, &renewed, &mut out);
    assert_eq!(ice.remote(), Some(address(2).into()));
    // From then on the selected address stays as long as checks arrive from it.
    ice.handle_request(now, address(3), true, &renewed, &mut out);
    assert_eq!(ice.remote(), Some(address(2).into()));
}

#[test]
fn a_response_to_a_probe_selects_its_source_and_renews_consent() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    ice.handle_request(now, address(1), true, &valid(true), &mut out);
    let later = now + Duration::from_secs(9);
    assert!(ice.handle_response(later, address(2).into(), false));
    assert_eq!(ice.remote(), Some(address(2).into()));
    assert_eq!(ice.consent_expires(), Some(later + TIMEOUT));
    assert!(!ice.handle_response(later, address(2).into(), false));
}

#[test]
fn an_address_selected_by_media_does_not_renew_consent() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    ice.select_by_media(address(2).into());
    assert_eq!(ice.remote(), None);
    ice.handle_request(now, address(1), true, &valid(true), &mut out);
    ice.select_by_media(address(2).into());
    assert_eq!(ice.remote(), Some(address(2).into()));
    assert_eq!(ice.consent_expires(), Some(now + TIMEOUT));
}

#[test]
fn checks_from_the_remote_address_renew_consent() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    for seconds in [0, 5, 11] {
        let at = now + Duration::from_secs(seconds);
        ice.handle_request(at, address(1), true, &valid(false), &mut out);
        assert_eq!(ice.consent_expires(), Some(at + TIMEOUT));
    }
}

#[test]
fn without_room_for_the_answer_nothing_is_selected() {
    let (mut ice, now) = (ice(), Instant::now());
    let outcome = ice.handle_request(now, address(1), true, &valid(true), &mut [0; 10]);
    assert_eq!(outcome, IceOutcome::Ignored(Ignored::NoRoom));
    assert_eq!(ice.remote(), None);
}

#[test]
fn a_sender_in_the_controlled_role_is_ignored() {
    // RFC 5769, section 2.1: a check with ICE-CONTROLLED.
    let sample = crate::test_hex::hex(
        "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74
         002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020
         000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf",
    );
    let mut ice = IceLite::new("evtj".into(), "VOkJxbRl1RmTxUk/WvJxBt".into(), TIMEOUT);
    let outcome = ice.handle_request(Instant::now(), address(1), true, &sample, &mut [0; 128]);
    assert_eq!(outcome, IceOutcome::Ignored(Ignored::RoleConflict));
    assert_eq!(ice.remote(), None);
}

#[test]
fn an_unproven_source_is_pending_until_its_response_selects_it() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    let outcome = ice.handle_request(now, address(1), false, &valid(true), &mut out);
    let first = |outcome| {
        let IceOutcome::Reply {
            newly_validated,
            moved,
            pending,
            ..
        } = outcome
        else {
            panic!("{outcome:?}");
        };
        (newly_validated, moved, pending)
    };
    assert_eq!(first(outcome), (true, false, true));
    assert_eq!(ice.remote(), None);
    assert!(ice.handle_response(now, address(1).into(), true));
    let outcome = ice.handle_request(now, address(2), false, &valid(true), &mut out);
    assert_eq!(first(outcome), (false, false, true));
    assert_eq!(ice.remote(), Some(address(1).into()));
    let outcome = ice.handle_request(now, address(3), false, &valid(false), &mut out);
    assert_eq!(first(outcome), (false, false, false));
}

#[test]
fn checks_from_an_unproven_source_do_not_renew_consent_of_the_selected_one() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    ice.handle_request(now, address(1), true, &valid(true), &mut out);
    let later = now + Duration::from_secs(9);
    ice.handle_request(later, address(2), false, &valid(true), &mut out);
    ice.handle_request(later, address(1), false, &valid(true), &mut out);
    assert_eq!(ice.consent_expires(), Some(now + TIMEOUT));
}

#[test]
fn after_a_restart_a_pending_source_is_selected_by_its_response() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    ice.handle_request(now, address(1), true, &valid(true), &mut out);
    ice.restart("again".into(), "another password".into());
    let renewed = check("again:client", "another password", false);
    ice.handle_request(now, address(2), false, &renewed, &mut out);
    assert_eq!(ice.remote(), Some(address(1).into()));
    ice.handle_response(now, address(2).into(), true);
    ice.handle_request(now, address(3), true, &renewed, &mut out);
    assert_eq!(ice.remote(), Some(address(2).into()));
}

#[test]
fn an_answer_is_never_longer_than_its_request() {
    let (mut ice, now, mut out) = (ice(), Instant::now(), [0; 128]);
    for ip in ["192.0.2.1:1", "[2001:db8::1]:1"] {
        let datagram = valid(true);
        let from: SocketAddr = ip.parse().unwrap();
        let IceOutcome::Reply { length, .. } =
            ice.handle_request(now, from, true, &datagram, &mut out)
        else {
            panic!("{ip}");
        };
        assert!(length <= datagram.len());
    }
}
