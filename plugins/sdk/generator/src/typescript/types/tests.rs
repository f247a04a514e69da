use super::super::files;
use crate::contract::Contract;

/// All that is written for one function that a plugin may call.
fn imported(function: &str) -> anyhow::Result<String> {
    let contract = Contract::of(&format!(
        "package a:b@0.1.0;
         interface i {{
             resource thing {{ size: func() -> u32; }}
             record both {{ an-item: u32, maybe: option<f64> }}
             record sent {{ maybe: option<f64>, numbers: list<f64> }}
             {function}
         }}
         world w {{ import i; }}"
    ))?;
    Ok(files(&contract)?.remove(0).1)
}

#[rstest::rstest]
#[case("f: func(a: list<u32>) -> list<u32>;", "f(a: readonly number[] | Uint32Array): number[]")]
#[case("f: func(a: list<u8>) -> list<u8>;", "f(a: readonly number[] | Uint8Array): Uint8Array")]
#[case("f: func(a: list<string>) -> list<option<u32>>;", "f(a: readonly string[]): (number | null)[]")]
#[case("f: func(a: option<bool>) -> option<char>;", "f(a: boolean | null | undefined): string | null")]
#[case("f: func() -> option<option<u32>>;", "f(): { tag: \"some\"; val: number | null } | { tag: \"none\" }")]
#[case(
    "f: func() -> tuple<u8, result<string>>;",
    "f(): [number, { tag: \"ok\"; val: string } | { tag: \"err\" }]"
)]
#[case("f: func(a-b: borrow<thing>) -> result<thing, string>;", "f(aB: Thing): Thing")]
#[case("f: func() -> result;", "f(): void")]
#[case("enum e { one, two-three } f: func() -> e;", "type E = \"one\" | \"two-three\"")]
#[case("flags g { one, two-three } f: func() -> g;", "twoThree: boolean;")]
#[case("variant v { a, b(u32) } f: func() -> v;", "| { tag: \"b\"; val: number };")]
#[case("f: func(a: both) -> both;", "maybe: number | null;")]
#[case("f: func(a: sent);", "maybe?: number | null | undefined;")]
#[case("f: func(a: sent);", "numbers: readonly number[] | Float64Array;")]
fn a_type_is_written_as_it_is_at_run_time(#[case] function: &str, #[case] says: &str) {
    let text = imported(function).unwrap();
    assert!(text.contains(says), "{text}");
}

#[rstest::rstest]
#[case("f: async func();", "neither a function")]
#[case("f: func() -> stream<u8>;", "no counterpart")]
#[case("f: func() -> error-context;", "no counterpart")]
fn what_a_guest_has_no_word_for_is_refused(#[case] function: &str, #[case] says: &str) {
    let error = imported(function).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

#[test]
fn a_failure_is_told_and_a_missing_number_explained() {
    let text = imported("/// `4294967295` for none.\nf: func() -> result<u32, both>;").unwrap();
    assert!(text.contains("@throws An exception whose `payload` is {@link Both}."), "{text}");
    assert!(text.contains("(arrives as `-1`: see `isNone`) for none."), "{text}");
}
