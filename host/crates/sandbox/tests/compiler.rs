//! Plugins compiled by a child process. This program is both sides: with `compile-component` it is the child, and
//! without it runs the tests, one or all of them, as a test runner asks.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use taja_catalog::policy::Candidates;
use taja_sandbox::{
    PluginState, PluginStatus,
    compile::{self, Compiler},
    manifest,
};

#[path = "../fixtures/component.rs"]
mod component;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "it/fakes.rs"]
mod fakes;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "it/guests.rs"]
mod guests;

use self::{
    fakes::World,
    guests::{House, manifest_text, plugin},
};

/// Longer than any test here takes on a busy machine.
const SOON: Duration = Duration::from_secs(40);

macro_rules! tests {
    ($($name:ident),+ $(,)?) => { &[$((stringify!($name), || block_on($name()))),+] };
}

const TESTS: &[(&str, fn())] = tests![
    a_plugin_compiled_by_a_child_answers_and_is_kept,
    code_that_is_not_valid_is_refused_in_the_compilers_words,
    a_component_that_takes_long_to_compile_is_given_up,
    a_component_that_takes_much_memory_to_compile_is_given_up,
    many_functions_are_given_up_as_well,
    one_compilation_after_the_other,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == compile::SUBCOMMAND) {
        return compile::child(&arguments[1..]);
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let wanted = |name: &str| {
        let mut names = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|part| name.contains(part.as_str()))
    };
    // None is ignored.
    let ignored_only = has("--ignored");
    for (name, test) in TESTS.iter().filter(|(name, _)| !ignored_only && (has("--list") || wanted(name))) {
        match has("--list") {
            true => say(&format!("{name}: test")),
            false => test(),
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "what a test runner reads")]
fn say(line: &str) {
    println!("{line}");
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime can be made").block_on(test);
}

fn compiler() -> Compiler {
    Compiler::new(std::env::current_exe().expect("this program has a path"))
}

fn house(file: &[u8], compiler: Compiler) -> House {
    let mut house = House::empty().with("rank.wasm", file);
    house.config.compiler = Some(compiler);
    house
}

async fn status(house: &House) -> PluginStatus {
    house.open(&World::new()).await.report()[0].clone()
}

/// Why it is refused, and that this is told soon.
async fn refusal(file: &[u8], compiler: Compiler) -> String {
    let began = Instant::now();
    let status = status(&house(file, compiler)).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    match status.state {
        PluginState::Refused(reason) => reason,
        PluginState::Ready => panic!("accepted"),
    }
}

fn rank(component: &str) -> Vec<u8> {
    let bytes = wat::parse_str(component).expect("the text is a component");
    manifest::embed(&bytes, &manifest_text("rank", "rank", "")).expect("the manifest is valid")
}

async fn a_plugin_compiled_by_a_child_answers_and_is_kept() {
    let world = World::new();
    let cache = tempfile::tempdir().expect("a temporary folder can be made");
    let mut house = house(&plugin("rank", "rank", ""), compiler());
    house.config.cache = Some(cache.path().to_owned());
    let sandbox = house.ready(&world).await;
    assert!(!sandbox.report()[0].cached);
    say(&format!("compiled by a child in {} ms", sandbox.report()[0].compile_ms));
    assert!(sandbox.rank(&world.context("shop", ""), Candidates::default()).await.is_ok());

    // What the child made is what this process would have made, so either finds it again.
    house.config.compiler = None;
    assert!(house.ready(&world).await.report()[0].cached);
    house.config.compiler = Some(Compiler::new("/nowhere"));
    let sandbox = house.ready(&world).await;
    assert!(sandbox.report()[0].cached);
    assert!(sandbox.rank(&world.context("shop", ""), Candidates::default()).await.is_ok());

    (house.config.compiler, house.config.cache) = (None, None);
    let sandbox = house.ready(&world).await;
    say(&format!("compiled in this process in {} ms", sandbox.report()[0].compile_ms));
}

async fn code_that_is_not_valid_is_refused_in_the_compilers_words() {
    let mut bytes = rank("(component (core module (func (result i32) (i32.const 7))))");
    let place = bytes.windows(2).position(|code| code == [0x41, 7]).expect("the code is there");
    bytes[place] = 0x42; // i64.const in the place of i32.const
    let reason = refusal(&bytes, compiler()).await;
    assert!(reason.contains("does not compile") && reason.contains("type mismatch"), "{reason}");

    let whole = plugin("rank", "rank", "");
    let mut garbage = whole.clone();
    // The manifest comes last; everything between the header and it is overwritten.
    for (place, byte) in garbage[400..whole.len() / 2].iter_mut().enumerate() {
        *byte = (place * 31) as u8;
    }
    let reason = refusal(&garbage, compiler()).await;
    assert!(reason.contains("does not compile") || reason.contains("damaged"), "{reason}");
}

/// A component with so many functions, each with so many additions over a hundred locals. Put together from bytes,
/// because text of this length takes longer to read than to compile.
fn enormous(functions: usize, additions: usize) -> Vec<u8> {
    let mut body = vec![1, 100, 0x7f]; // a hundred locals, i32
    for n in 0..additions {
        let local = |factor: usize| (n * factor % 100) as u8;
        // local.get, i32.load, local.get, i32.add, local.set
        body.extend([0x20, local(7), 0x28, 2, 0, 0x20, local(13), 0x6a, 0x21, local(1)]);
    }
    body.push(0x0b);
    let code = [leb(body.len()), body].concat().repeat(functions);
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[leb(functions), vec![0; functions]].concat()),
        section(5, &[1, 0, 1]),
        section(10, &[leb(functions), code].concat()),
    ];
    let component = [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat();
    manifest::embed(&component, &manifest_text("rank", "rank", "")).expect("the manifest is valid")
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], leb(content.len()), content.to_vec()].concat()
}

/// Always five bytes long.
fn leb(value: usize) -> Vec<u8> {
    let byte = |place: usize| (value >> (7 * place)) as u8 & 0x7f;
    (0..5).map(|place| byte(place) | if place < 4 { 0x80 } else { 0 }).collect()
}

async fn a_component_that_takes_long_to_compile_is_given_up() {
    let mut short = compiler();
    short.time = Duration::from_secs(1);
    let reason = refusal(&enormous(1, 400_000), short).await;
    assert!(reason.contains("compiles for longer than 1s: make the component smaller"), "{reason}");
}

async fn a_component_that_takes_much_memory_to_compile_is_given_up() {
    let mut small = compiler();
    small.memory_bytes = 384 << 20;
    let reason = refusal(&enormous(1, 400_000), small).await;
    assert!(reason.contains("takes more than 384 MiB of memory to compile"), "{reason}");
}

async fn many_functions_are_given_up_as_well() {
    let mut short = compiler();
    short.time = Duration::from_secs(1);
    let reason = refusal(&enormous(200_000, 2), short).await;
    assert!(reason.contains("compiles for longer than 1s"), "{reason}");
}

async fn one_compilation_after_the_other() {
    // A second one waits for its place and is then compiled: the time of waiting is not its own.
    let mut compiler = compiler();
    compiler.time = Duration::from_secs(20);
    let file = plugin("rank", "rank", "");
    let (one, two) = (house(&file, compiler.clone()), house(&file, compiler));
    let (one, two) = tokio::join!(status(&one), status(&two));
    assert_eq!((one.state, two.state), (PluginState::Ready, PluginState::Ready));
}
