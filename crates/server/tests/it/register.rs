//! Registration, through the whole service.

use serde_json::json;
use testkit::app::TestApp;

// LG-10: what an account is beyond name, address and password is not for its owner to say.
#[tokio::test]
async fn protected_fields_of_a_registration_have_no_effect() {
    let service = TestApp::start().await;
    let first = service.register("first", "violet umbrella").await;
    let body = json!({
        "username": "climber", "email": "c@example.com", "password": "violet umbrella",
        "id": 7_000, "is_staff": true, "is_superuser": true, "is_active": false, "epoch": 9, "role": "admin",
        "email_verified": true, "date_joined": "2020-01-01", "created_at": 1, "disabled_at": 1, "password_hash": "x",
    });
    let answer = service.post("/register/", &body).await;
    let expected = json!({"id": first + 1, "username": "climber", "email": "c@example.com"});
    assert_eq!((answer.status, answer.json()), (201, expected));
    let user = service::user::find(&service.app, "climber").await.unwrap();
    assert!(!user.is_staff && !user.is_superuser && user.is_active() && user.epoch == 0);
    assert_eq!(service.try_login("climber", "violet umbrella").await.status, 200);
}
