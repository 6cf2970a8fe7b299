//! `hold_if_older_than`: data that is too old keeps a pool off every rung.

use crate::policy::testing::World;

fn world(services: &str) -> World {
    World::new(&format!("pool prod: 10.0.0.1; pool dr: 10.1.0.1; pool third: 10.2.0.1; {services}"))
}

#[test]
fn a_pool_with_old_data_is_on_no_rung() {
    for (all_down, answers) in
        [("serve_all", "prod 100 all_down"), ("last_good", "prod 100 all_down"), ("first", "prod 100 all_down"), ("servfail", "servfail")]
    {
        let mut world = world(&format!("service orders: failover prod dr all_down={all_down}"));
        world.data("dr", true);
        world.down("prod");
        assert_eq!(world.answers("orders"), answers, "{all_down}");
        world.data("dr", false);
        assert_eq!(world.answers("orders"), "dr 100", "{all_down}");
    }
    let mut world = world("service orders: failover prod dr");
    world.data("dr", true);
    world.begin("drain pool prod");
    assert_eq!(world.answers("orders"), "prod 100 drained", "a drained pool is better than old data");
    world.begin("force_down pool prod");
    assert_eq!(world.answers("orders"), "servfail");
    assert!(world.explain("orders").contains("the data of every pool that may answer is too old"), "{}", world.explain("orders"));
}

#[test]
fn an_approval_lets_it_answer_for_the_services_it_is_for() {
    let mut world = world("service orders: failover prod dr; service search: failover prod dr");
    world.data("dr", true);
    world.down("prod");
    world.begin("approve region dr for orders");
    assert_eq!((world.answers("orders"), world.answers("search")), ("dr 100".into(), "prod 100 all_down".into()));
    assert!(world.explain("orders").contains("its data is old, approved by o-1"), "{}", world.explain("orders"));
    world.end_all_overrides();
    assert_eq!(world.answers("orders"), "dr 100", "who answers alone does not grow old");
}

#[test]
fn who_answers_alone_does_not_grow_old_and_of_several_those_who_do_go() {
    let mut alone = world("service orders: failover prod dr");
    alone.data("prod", true);
    assert_eq!(alone.answers("orders"), "prod 100");
    alone.restart();
    alone.up("prod");
    assert_eq!(alone.answers("orders"), "prod 100");

    let mut both = world("service orders: weighted prod=80 dr=20");
    both.data("dr", true);
    assert_eq!(both.answers("orders"), "prod 100");
    both.data("prod", true);
    assert_eq!(both.answers("orders"), "prod 100", "the last one stays");
    both.data("dr", false);
    assert_eq!(both.answers("orders"), "dr 100", "one that is fresh goes before it");
    both.data("prod", false);
    assert_eq!(both.answers("orders"), "prod 80, dr 20", "nobody waits for failback: no health has taken it away");
}

#[test]
fn nothing_has_answered_yet_and_all_data_is_old_then_nobody_does() {
    let mut world = World::fresh("pool prod: 10.0.0.1; pool dr: 10.1.0.1; service orders: failover prod dr all_down=serve_all");
    for pool in ["prod", "dr"] {
        world.outdated.insert(world.estate.pool_named(pool).unwrap(), "nobody has told".into());
    }
    world.up("prod");
    assert_eq!(world.answers("orders"), "servfail");
}

#[test]
fn failback_waits_until_it_is_synchronised_and_not_a_second_longer() {
    let mut world = world("service orders: failover prod dr failback=60s");
    world.down("prod");
    world.data("prod", true);
    world.up("prod");
    world.later(600);
    assert_eq!((world.answers("orders"), world.held("orders")), ("dr 100".into(), "prod".into()));
    assert_eq!(world.decide("orders").wake_at, None, "no time ends this");
    world.data("prod", false);
    assert_eq!((world.answers("orders"), world.held("orders")), ("prod 100".into(), "".into()));
}

#[test]
fn a_last_resort_is_asked_for_its_data_too() {
    let mut world = World::new("pool prod: 10.0.0.1; pool sorry: 10.9.9.9 monitor=none; service orders: failover prod all_down=pool:sorry");
    world.data("sorry", true);
    world.down("prod");
    assert_eq!(world.answers("orders"), "servfail");
    world.data("sorry", false);
    assert_eq!(world.answers("orders"), "sorry 100 all_down");
}
