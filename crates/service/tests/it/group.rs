use domain::group::GroupId;
use domain::user::UserId;
use service::{Kind, group};

use crate::harness::Harness;

#[tokio::test]
async fn a_group_is_made_filled_emptied_and_deleted() {
    let harness = Harness::new().await;
    let app = &harness.app;
    let ann = harness.register("ann").await;
    let editors = group::create(app, " Editors ").await.unwrap();
    assert_eq!(group::find(app, "Editors").await.unwrap(), editors);
    assert!(matches!(group::create(app, "Editors").await.unwrap_err().kind, Kind::Invalid(_)));
    assert!(matches!(group::create(app, "a\u{7}").await.unwrap_err().kind, Kind::Invalid(_)));
    assert!(
        matches!(group::find(app, "editors").await.unwrap_err().kind, Kind::NotFound),
        "compared exactly"
    );

    assert!(group::add_user(app, editors.id, ann.id).await.unwrap());
    assert!(!group::add_user(app, editors.id, ann.id).await.unwrap());
    assert_eq!(group::of_user(app, &ann).await.unwrap().groups, std::slice::from_ref(&editors));
    assert!(group::remove_user(app, editors.id, ann.id).await.unwrap());
    assert!(!group::remove_user(app, editors.id, ann.id).await.unwrap());

    group::add_user(app, editors.id, ann.id).await.unwrap();
    assert!(group::delete(app, editors.id).await.unwrap());
    assert!(!group::delete(app, editors.id).await.unwrap());
    assert!(group::of_user(app, &ann).await.unwrap().groups.is_empty());
    let again = group::create(app, "Editors").await.unwrap();
    assert!(again.id > editors.id, "no id twice");
    assert_eq!(group::list(app, Some(editors.id), 10).await.unwrap(), [again]);
}

#[tokio::test]
async fn nobody_joins_what_is_not_there() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let editors = group::create(&harness.app, "Editors").await.unwrap();
    for (group, user) in [(GroupId::new(99), ann.id), (editors.id, UserId::new(99))] {
        let error = group::add_user(&harness.app, group, user).await.unwrap_err();
        assert!(matches!(error.kind, Kind::NotFound), "{error:?}");
    }
}

#[tokio::test]
async fn sessions_outlive_a_change_of_groups() {
    let harness = Harness::new().await;
    let ann = harness.register("ann").await;
    let pair = harness.login("ann").await;
    let editors = group::create(&harness.app, "Editors").await.unwrap();
    group::add_user(&harness.app, editors.id, ann.id).await.unwrap();
    assert!(harness.verify(&pair.access).await.is_ok());
}
