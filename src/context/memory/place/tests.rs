use super::*;
use crate::context::memory::words::Language;

fn collection(name: &str, tenants: bool) -> Collection {
    Collection {
        name: name.into(),
        dimensions: Some(2),
        text: "text".into(),
        ours: true,
        tenants,
        language: Language::English,
    }
}

#[test]
fn a_key_tells_collection_tenant_and_id_apart() {
    let kb = collection("kb", true);
    assert_eq!(kb.key("a", "1"), kb.key("a", "1"));
    assert_ne!(kb.key("a", "1"), kb.key("b", "1"));
    assert_ne!(kb.key("a", "bc"), kb.key("ab", "c"));
    assert_ne!(kb.key("a", "1"), collection("kc", true).key("a", "1"));
    assert_eq!(kb.key("a", "1").get_version_num(), 5);
}

#[test]
fn without_tenants_everybody_writes_the_same_passage() {
    let kb = collection("kb", false);
    assert_eq!(kb.key("a", "1"), kb.key("b", "1"));
    assert_eq!(kb.tenant("a"), EVERYBODY);
}

#[test]
fn a_vector_must_fit() {
    let kb = collection("kb", true);
    assert!(kb.fits(None).is_ok());
    assert!(kb.fits(Some(&[1.0, 2.0])).is_ok());
    let message = kb.fits(Some(&[1.0])).unwrap_err().message;
    assert_eq!(message, "collection `kb` takes vectors of 2 dimensions, not 1");
    assert!(kb.fits(Some(&[1.0, f32::NAN])).is_err());
}
