use super::*;

const ID: &str = r#""0193b0a0-0000-4000-8000-000000000001""#;
const ATTEMPT: &str = r#""stage":"answer","number":2,"operation":"chat","provider":"p \"1\"","account":"a","request_model":"m""#;
const COSTS: &str =
    r#""usage":{"input":12,"cache_read":0,"cache_write":1,"output":3,"reasoning":0}"#;
const TIMES: &str = r#""outcome":"ok","started_at":1795374471500,"duration_us":-1"#;
const DECISION: &str =
    r#"{"policy":"first_healthy","chosen":"p/m","probability":0.25,"candidates":["p/m","q/n"]}"#;
const LINE: &str = r#"{"unit":"input_tokens","quantity":12,"unit_price":"0.4","per":1000000}"#;
const ANSWER: &str = r#""stage":"answer","operation":"chat","ordinal":0"#;

/// What serde reads from a text, written straight, is what serde writes.
#[test]
fn entries_are_written_as_the_general_writer_would() {
    let attempt =
        format!(r#"{{"id":{ID},{ATTEMPT},{COSTS},"lines":[],"price_status":"unpriced",{TIMES}}}"#);
    let full = format!(
        r#"{{"id":{ID},"item":3,{ATTEMPT},"response_model":"r","provider_request_id":"x","batch_id":"b",{COSTS},"amount":"-0.0004","lines":[{LINE},{LINE}],"price_status":"priced","catalogue":"c","finish_reason":"stop",{TIMES},"ttfc_us":7,"decision":{DECISION}}}"#
    );
    let answer = format!(r#"{{{ANSWER},"digest":{ID},"item":4,"value":{{"text":"ü\n"}}}}"#);
    let long = format!(r#"{{{ANSWER},"digest":{ID},"parts":{ID}}}"#);
    let intent =
        r#""stage":"s","operation":"chat","provider":"p","account":"a","model":"m","started_at":5"#;
    for text in [
        format!(r#"{{"intent":{{"attempt":{ID},{intent}}}}}"#),
        format!(
            r#"{{"intent":{{"attempt":{ID},"item":1,{intent},"ceiling":"12","catalogue":"c"}}}}"#
        ),
        format!(r#"{{"outcome":{{"attempt":{attempt}}}}}"#),
        format!(r#"{{"outcome":{{"attempt":{full},"answer":{answer}}}}}"#),
        format!(r#"{{"outcome":{{"answer":{long}}}}}"#),
        r#"{"outcome":{}}"#.to_owned(),
        format!(r#"{{"withdrawn":{{"attempt":{ID}}}}}"#),
        r#""ended""#.to_owned(),
    ] {
        let what: What = serde_json::from_str(&text).unwrap();
        let mut out = Vec::new();
        what.put(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&what).unwrap());
    }
}
