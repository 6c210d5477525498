use bytes::Bytes;
use proptest::prelude::*;

use super::{decode, encode};

proptest! {
    #[test]
    fn headers_come_back_as_they_were(
        headers in prop::collection::vec(
            ("\\PC{0,20}", prop::option::of(prop::collection::vec(any::<u8>(), 0..300))), 0..8),
    ) {
        let headers: Vec<_> =
            headers.into_iter().map(|(name, value)| (name.into(), value.map(Bytes::from))).collect();
        let bytes = encode(&headers);
        prop_assert_eq!(bytes.is_none(), headers.is_empty());
        prop_assert_eq!(decode(bytes.unwrap_or_default().into()), Some(headers));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = decode(bytes.into());
    }
}
