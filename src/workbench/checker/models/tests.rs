//! The tables, and what follows from them.

use super::*;

fn names(models: &[Model]) -> Vec<&'static str> {
    models.iter().map(|model| model.name()).collect()
}

#[test]
fn the_table_is_in_the_order_of_the_models() {
    for (index, entry) in TABLE.iter().enumerate() {
        assert_eq!(entry.model as usize, index, "{}", entry.name);
    }
}

#[test]
fn every_name_and_alias_finds_its_model() {
    for model in Model::all() {
        for name in model.aliases().iter().chain([&model.name()]) {
            assert_eq!(Model::parse(name), Ok(model));
            assert_eq!(Model::parse(&name.to_lowercase()), Ok(model));
        }
    }
    assert_eq!(
        Model::parse_list("PL-2+ ,:strict-serializable,pl-2+"),
        Ok(vec![ConsistentView, StrictSerializable])
    );
}

#[test]
fn a_name_that_nothing_can_be_checked_for_is_refused() {
    let sentence = |name| Model::parse(name).unwrap_err().to_string();
    assert!(sentence("linearizable").starts_with("\"linearizable\" cannot be checked: no anomaly"));
    assert!(
        sentence("serialisable").starts_with("there is no consistency model \"serialisable\"; there are: ")
    );
    assert!(sentence("").contains("there is no consistency model"));
}

/// Each model's anomalies as Elle has them, written out.
#[test]
fn models_forbid_what_elle_says_they_do() {
    let cycle = |class| Anomaly::Cycle(class, Order::Data);
    let mut ru =
        vec![cycle(Class::G0), Anomaly::DuplicateElements, Anomaly::CyclicVersions, Anomaly::GarbageRead];
    ru.sort_unstable();
    let with = |base: &[Anomaly], more: &[Anomaly]| {
        let mut all = [base, more].concat();
        all.sort_unstable();
        all.dedup();
        all
    };
    let suffixed = |classes: &[Class], order| {
        classes.iter().map(|&class| Anomaly::Cycle(class, order)).collect::<Vec<_>>()
    };
    let rc = with(
        &ru,
        &[
            Anomaly::G1a,
            Anomaly::G1b,
            cycle(Class::G1c),
            Anomaly::DirtyUpdate,
            Anomaly::IncompatibleOrder,
            Anomaly::FutureRead,
        ],
    );
    let read_atomic = with(&rc, &[Anomaly::Internal]);
    let cursor = with(&rc, &[Anomaly::LostUpdate]);
    let update_atomic = with(&read_atomic, &[Anomaly::LostUpdate]);
    let view = with(&cursor, &[cycle(Class::GSingle)]);
    let rr = with(&view, &[cycle(Class::GNonadjacent), cycle(Class::G2)]);
    let si = with(&update_atomic, &[cycle(Class::GSingle), cycle(Class::GNonadjacent)]);
    let serializable = with(&si, &[cycle(Class::G2)]);
    let low = [Class::G0, Class::G1c];
    let middle = [Class::G0, Class::G1c, Class::GSingle, Class::GNonadjacent];
    let session = |base: &[Anomaly], classes: &[Class]| with(base, &suffixed(classes, Order::Process));
    let strong = |base: &[Anomaly], classes: &[Class]| {
        with(&session(base, classes), &suffixed(classes, Order::Realtime))
    };
    let expected: Vec<(&[Model], Vec<Anomaly>)> = vec![
        (&[ReadUncommitted], ru.clone()),
        (&[ReadCommitted, MonotonicView, MonotonicSnapshotRead, MonotonicAtomicView], rc.clone()),
        (&[ReadAtomic, CausalCerone, Prefix], read_atomic),
        (&[CursorStability], cursor),
        (&[UpdateAtomic, ParallelSnapshotIsolation], update_atomic),
        (&[ConsistentView, ForwardConsistentView, UpdateSerializable], view),
        (&[RepeatableRead], rr),
        (&[SnapshotIsolation], si.clone()),
        (&[Serializable], serializable.clone()),
        (&[StrongSessionReadUncommitted], session(&ru, &[Class::G0])),
        (&[StrongSessionReadCommitted], session(&rc, &low)),
        (&[StrongSessionSnapshotIsolation], session(&si, &middle)),
        (&[StrongSessionSerializable], session(&serializable, &Class::ALL)),
        (&[StrongReadUncommitted], strong(&ru, &[Class::G0])),
        (&[StrongReadCommitted], strong(&rc, &low)),
        (&[StrongSnapshotIsolation], strong(&si, &middle)),
        (&[StrictSerializable], strong(&serializable, &Class::ALL)),
    ];
    let mut all = with(&serializable, &[]);
    all.extend(suffixed(&Class::ALL, Order::Process));
    all.extend(suffixed(&Class::ALL, Order::Realtime));
    all.sort_unstable();
    let mut seen = 0;
    for (models, expected) in expected {
        for model in models {
            let forbidden: Vec<_> = all.iter().copied().filter(|&anomaly| model.forbids(anomaly)).collect();
            assert_eq!(forbidden, expected, "{model}");
            seen += 1;
        }
    }
    assert_eq!(seen, TABLE.len());
}

#[test]
fn only_the_weakest_refuted_models_are_named() {
    let refuted = |anomalies: &[Anomaly]| Refuted::by(anomalies);
    let single = Anomaly::Cycle(Class::GSingle, Order::Data);
    let both = refuted(&[single, Anomaly::LostUpdate, Anomaly::Internal]);
    assert_eq!(names(&both.not), ["cursor-stability", "read-atomic"]);
    assert!(both.also_not.contains(&StrictSerializable) && both.also_not.contains(&RepeatableRead));
    assert!(!both.also_not.contains(&MonotonicView));
    assert_eq!(refuted(&[]), Refuted { not: vec![], also_not: vec![] });
    assert_eq!(names(&refuted(&[Anomaly::GarbageRead]).not), ["read-uncommitted"]);
    let garbage = refuted(&[Anomaly::GarbageRead, Anomaly::Internal]);
    assert_eq!(names(&garbage.not), ["read-atomic"]);
    assert!(garbage.also_not.contains(&ReadUncommitted));
}
