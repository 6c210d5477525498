use proptest::prelude::*;
use serde::Serialize;

use super::*;

#[derive(Serialize)]
struct Parcel<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    tags: BTreeMap<String, u64>,
    list: Vec<String>,
    id: Uuid,
    sure: bool,
    share: f64,
}

impl Put for Parcel<'_> {
    fn put(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        object!(out;
            "text": self.text,
            "number"?: self.number,
            "tags": self.tags,
            "list": self.list,
            "id": self.id,
            "sure": self.sure,
            "share": self.share
        )
    }
}

proptest! {
    #[test]
    fn it_is_what_the_general_writer_writes(
        text in any::<String>(),
        plain in "[a-z \"\\\\\u{1}\u{7f}ü]{0,80}",
        number in any::<Option<i64>>(),
        tags in prop::collection::btree_map(any::<String>(), any::<u64>(), 0..4),
        list in prop::collection::vec(any::<String>(), 0..4),
        id in any::<u128>(),
        sure in any::<bool>(),
        share in any::<f64>(),
    ) {
        for text in [&text, &plain] {
            let (tags, list) = (tags.clone(), list.clone());
            let parcel = Parcel { text, number, tags, list, id: Uuid::from_u128(id), sure, share };
            let mut out = Vec::new();
            parcel.put(&mut out).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&parcel).unwrap());
        }
    }
}
