//! `plugins/REFERENCE.md`: the whole contract, to be read.

use anyhow::{Context, bail};
use wit_parser::{
    Docs, Function, Handle, Interface, InterfaceId, PackageId, Type, TypeDef, TypeDefKind, TypeId, World,
};

use crate::contract::{Contract, Form, lines, one_line, params};

const HEAD: &str = "<!-- Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit. -->

# Reference of the contract

What a policy exports, what it may call, and every type of both, as [`../wit`](../wit) has them. The names are those of WIT; each
language writes them its own way: `weight-kg` is `weight_kg` in Rust and Python, and `weightKg` in TypeScript.
";

/// The text.
pub(crate) fn text(contract: &Contract) -> anyhow::Result<String> {
    let (exported, imported) = (contract.interfaces(false)?, contract.interfaces(true)?);
    let mut sections = vec![HEAD.to_owned(), worlds(contract)?];
    for side in [exported, imported] {
        let mut packages: Vec<PackageId> = Vec::new();
        for id in &side {
            let package = contract.resolve.interfaces[*id].package.context("an interface has no package")?;
            if !packages.contains(&package) {
                packages.push(package);
                sections.push(self::package(contract, package));
            }
            sections.push(Section { contract, id: *id }.text()?);
        }
    }
    Ok(sections.join("\n"))
}

fn worlds(contract: &Contract) -> anyhow::Result<String> {
    let mut text =
        "## Worlds\n\nA policy is made for one of them; its `kind` in `plugin.toml` says which.\n\n\
                    | world | exports | may import | |\n|---|---|---|---|\n"
            .to_owned();
    for world in contract.worlds() {
        let (exports, imports) = (side(contract, world, false)?, side(contract, world, true)?);
        text.push_str(&format!("| `{}` | {exports} | {imports} | {} |\n", world.name, one_line(&world.docs)));
    }
    Ok(text)
}

/// The interfaces on one side of a world, as links.
fn side(contract: &Contract, world: &World, imported: bool) -> anyhow::Result<String> {
    let items = if imported { &world.imports } else { &world.exports };
    let mut links = Vec::new();
    for item in items.values() {
        let name = contract.interface(item)?.name.as_deref().context("an interface has no name")?;
        links.push(format!("[`{name}`](#{name})"));
    }
    Ok(links.join(", "))
}

fn package(contract: &Contract, id: PackageId) -> String {
    let package = &contract.resolve.packages[id];
    format!("## `{}`\n\n{}\n", package.name, lines(&package.docs).join("\n"))
}

/// One interface.
struct Section<'a> {
    contract: &'a Contract,
    id: InterfaceId,
}

impl Section<'_> {
    fn interface(&self) -> &Interface {
        &self.contract.resolve.interfaces[self.id]
    }

    fn text(&self) -> anyhow::Result<String> {
        let mut text = format!("### {}\n", self.contract.name(self.id)?);
        push(&mut text, &lines(&self.interface().docs).join("\n"));
        let free = self.functions(None)?;
        if !free.is_empty() {
            push(&mut text, "Functions:");
            push(&mut text, &free);
        }
        for (name, id) in &self.interface().types {
            let def = &self.contract.resolve.types[*id];
            if self.contract.used(self.id, def).is_none() {
                push(&mut text, &self.declaration(name, *id)?);
            }
        }
        Ok(text)
    }

    /// The functions of a resource, or those of none.
    fn functions(&self, resource: Option<TypeId>) -> anyhow::Result<String> {
        let mut items = Vec::new();
        for function in self.interface().functions.values() {
            if function.kind.resource() == resource {
                let docs = lines(&function.docs).join("\n  ");
                items.push(format!("- `{}`\n\n  {docs}", self.signature(function)?));
            }
        }
        Ok(items.join("\n"))
    }

    fn signature(&self, function: &Function) -> anyhow::Result<String> {
        let word = if Form::of(function)? == Form::Static { "static func" } else { "func" };
        let mut list = Vec::new();
        for param in params(function)? {
            list.push(format!("{}: {}", param.name, self.ty(&param.ty)?));
        }
        let result = match &function.result {
            Some(ty) => format!(" -> {}", self.ty(ty)?),
            None => String::new(),
        };
        Ok(format!("{}: {word}({}){result}", function.item_name(), list.join(", ")))
    }

    fn declaration(&self, name: &str, id: TypeId) -> anyhow::Result<String> {
        let def = &self.contract.resolve.types[id];
        let mut text = format!("#### {} `{name}`\n", word(&def.kind));
        push(&mut text, &lines(&def.docs).join("\n"));
        let body = self.body(def, id)?;
        push(&mut text, &body);
        Ok(text)
    }

    fn body(&self, def: &TypeDef, id: TypeId) -> anyhow::Result<String> {
        let mut rows = Vec::new();
        let columns = match &def.kind {
            TypeDefKind::Record(record) => {
                for field in &record.fields {
                    rows.push(row([&code(&field.name), &code(&self.ty(&field.ty)?), &one_line(&field.docs)]));
                }
                ["field", "type", ""]
            }
            TypeDefKind::Variant(variant) => {
                for case in &variant.cases {
                    let holds = case.ty.as_ref().map(|ty| self.ty(ty)).transpose()?;
                    let holds = holds.as_deref().map(code).unwrap_or_default();
                    rows.push(row([&code(&case.name), &holds, &one_line(&case.docs)]));
                }
                ["case", "holds", ""]
            }
            TypeDefKind::Enum(cases) => {
                return Ok(list(cases.cases.iter().map(|case| (&case.name, &case.docs))));
            }
            TypeDefKind::Flags(flags) => {
                return Ok(list(flags.flags.iter().map(|flag| (&flag.name, &flag.docs))));
            }
            TypeDefKind::Resource => return self.functions(Some(id)),
            kind => return Ok(format!("`{}`", self.kind(kind)?)),
        };
        Ok(format!("{}{}{}", row(columns), "|---|---|---|\n", rows.concat()))
    }

    fn ty(&self, ty: &Type) -> anyhow::Result<String> {
        Ok(match ty {
            Type::Bool => "bool".to_owned(),
            Type::U8 => "u8".to_owned(),
            Type::U16 => "u16".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::U64 => "u64".to_owned(),
            Type::S8 => "s8".to_owned(),
            Type::S16 => "s16".to_owned(),
            Type::S32 => "s32".to_owned(),
            Type::S64 => "s64".to_owned(),
            Type::F32 => "f32".to_owned(),
            Type::F64 => "f64".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "string".to_owned(),
            Type::ErrorContext => "error-context".to_owned(),
            Type::Id(id) => {
                let def = &self.contract.resolve.types[*id];
                match &def.name {
                    Some(name) => name.clone(),
                    None => self.kind(&def.kind)?,
                }
            }
        })
    }

    fn kind(&self, kind: &TypeDefKind) -> anyhow::Result<String> {
        let optional = |ty: &Option<Type>| ty.as_ref().map_or(Ok("_".to_owned()), |ty| self.ty(ty));
        Ok(match kind {
            TypeDefKind::List(ty) => format!("list<{}>", self.ty(ty)?),
            TypeDefKind::Option(ty) => format!("option<{}>", self.ty(ty)?),
            TypeDefKind::Result(result) => match (&result.ok, &result.err) {
                (None, None) => "result".to_owned(),
                (ok, None) => format!("result<{}>", optional(ok)?),
                (ok, err) => format!("result<{}, {}>", optional(ok)?, optional(err)?),
            },
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> =
                    tuple.types.iter().map(|ty| self.ty(ty)).collect::<anyhow::Result<_>>()?;
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Handle(Handle::Own(id)) => self.ty(&Type::Id(*id))?,
            TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", self.ty(&Type::Id(*id))?),
            TypeDefKind::Type(ty) => self.ty(ty)?,
            _ => bail!("{} is not told in the reference", kind.as_str()),
        })
    }
}

/// The word that declares a type.
fn word(kind: &TypeDefKind) -> &'static str {
    match kind {
        TypeDefKind::Record(_) => "record",
        TypeDefKind::Variant(_) => "variant",
        TypeDefKind::Enum(_) => "enum",
        TypeDefKind::Flags(_) => "flags",
        TypeDefKind::Resource => "resource",
        _ => "type",
    }
}

/// Names with what they mean, as a list.
fn list<'a>(names: impl Iterator<Item = (&'a String, &'a Docs)>) -> String {
    let item = |(name, docs): (&String, &Docs)| match one_line(docs).as_str() {
        "" => format!("- `{name}`\n"),
        docs => format!("- `{name}`: {docs}\n"),
    };
    names.map(item).collect()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn row(cells: [&str; 3]) -> String {
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// Adds a paragraph, if there is anything in it.
fn push(text: &mut String, paragraph: &str) {
    if !paragraph.is_empty() {
        text.push('\n');
        text.push_str(paragraph.trim_end());
        text.push('\n');
    }
}
