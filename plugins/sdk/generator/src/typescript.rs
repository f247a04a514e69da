//! The types of the TypeScript SDK: what componentize-qjs gives a guest at run time, interface by interface.
//!
//! Names are those of JavaScript (`weightKg`), records are objects, enums texts, variants objects with a `tag`, resources
//! classes. A result is what a function returns or throws. Lists come as arrays (of bytes as a `Uint8Array`) and may go
//! as the typed array of their numbers as well, which is faster.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, ensure};
use heck::{ToLowerCamelCase, ToUpperCamelCase};
use wit_parser::{Function, Interface, InterfaceId, Type, TypeDefKind, TypeId, World};

use self::comment::{cases, comment};
use crate::contract::{Contract, Form, Way, lines, params};

mod comment;
mod types;

/// Where the types lie.
pub(crate) const FOLDER: &str = "plugins/sdk/typescript/generated";

const HEAD: &str = "// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.\n";

/// The files of the SDK that are made from the contract.
pub(crate) fn files(contract: &Contract) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for id in contract.interfaces(true)? {
        let module = Module { contract, id };
        files.push((path("host", contract.name(id)?), format!("{HEAD}{}", module.imported()?)));
    }
    for id in contract.interfaces(false)? {
        let module = Module { contract, id };
        files.push((path("plugin", contract.name(id)?), format!("{HEAD}{}", module.exported()?)));
    }
    let worlds: Vec<_> = contract.worlds().map(|one| world(contract, one)).collect::<anyhow::Result<_>>()?;
    files.push((path("plugin", "worlds"), format!("{HEAD}{}", worlds.concat())));
    Ok(files)
}

fn path(side: &str, name: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(format!("{side}-{name}.d.ts"))
}

/// A world: what the module of a plugin exports.
fn world(contract: &Contract, world: &World) -> anyhow::Result<String> {
    let (mut uses, mut members) = (String::new(), String::new());
    for item in world.exports.values() {
        let interface = contract.interface(item)?;
        let name = interface.name.as_deref().context("an interface has no name")?;
        let id = interface.package.context("an interface has no package")?;
        let (whole, ty) = (contract.resolve.id_of_name(id, name), name.to_upper_camel_case());
        uses.push_str(&format!("  import type {{ {ty} }} from \"{whole}\";\n"));
        members.push_str(&format!("    {}: {ty};\n", name.to_lower_camel_case()));
    }
    let package = world.package.context("a world has no package")?;
    let whole = contract.resolve.id_of_name(package, &world.name);
    let (docs, ty) = (comment("  ", &lines(&world.docs)), world.name.to_upper_camel_case());
    Ok(format!(
        "\ndeclare module \"{whole}\" {{\n{uses}\n{docs}  export interface {ty} {{\n{members}  }}\n}}\n"
    ))
}

/// One interface as a module.
struct Module<'a> {
    contract: &'a Contract,
    id: InterfaceId,
}

impl Module<'_> {
    fn interface(&self) -> &Interface {
        &self.contract.resolve.interfaces[self.id]
    }

    /// An interface that a plugin imports: its functions can be called.
    fn imported(&self) -> anyhow::Result<String> {
        let mut items = self.types()?;
        for function in self.interface().functions.values() {
            if Form::of(function)? == Form::Free {
                let text =
                    format!("{}  export function {};\n", self.docs("  ", function), self.call(function)?);
                items.push(text);
            }
        }
        let whole = self.contract.full_name(self.id)?;
        if !self.interface().functions.is_empty() {
            items.push(format!(
                "  const functions: Omit<typeof import(\"{whole}\"), \"default\">;\n  export default functions;\n"
            ));
        }
        Ok(self.module(&whole, &items))
    }

    /// An interface that a plugin exports: an object that it is to make.
    fn exported(&self) -> anyhow::Result<String> {
        let mut items = self.types()?;
        let mut members = String::new();
        for function in self.interface().functions.values() {
            ensure!(Form::of(function)? == Form::Free, "{} belongs to an exported resource", function.name);
            members.push_str(&format!("{}    {};\n", self.docs("    ", function), self.call(function)?));
        }
        let ty = self.contract.name(self.id)?.to_upper_camel_case();
        let docs = comment("  ", &lines(&self.interface().docs));
        items.push(format!("{docs}  export interface {ty} {{\n{members}  }}\n"));
        Ok(self.module(&self.contract.full_name(self.id)?, &items))
    }

    fn module(&self, whole: &str, items: &[String]) -> String {
        let docs = comment("", &lines(&self.interface().docs));
        format!("\n{docs}declare module \"{whole}\" {{\n{}}}\n", items.join("\n"))
    }

    /// What it uses of other interfaces, and the types of its own.
    fn types(&self) -> anyhow::Result<Vec<String>> {
        let (mut uses, mut own) = (BTreeMap::<String, Vec<String>>::new(), Vec::new());
        for (name, id) in &self.interface().types {
            let ty = name.to_upper_camel_case();
            match self.contract.used(self.id, &self.contract.resolve.types[*id]) {
                Some(from) => uses.entry(self.contract.full_name(from)?).or_default().push(ty),
                None => own.push(self.declaration(&ty, *id)?),
            }
        }
        let line = |(from, types): (&String, &Vec<String>)| {
            format!("  import type {{ {} }} from \"{from}\";\n", types.join(", "))
        };
        let uses: String = uses.iter().map(line).collect();
        if !uses.is_empty() {
            own.insert(0, uses);
        }
        Ok(own)
    }

    fn declaration(&self, name: &str, id: TypeId) -> anyhow::Result<String> {
        let def = &self.contract.resolve.types[id];
        let docs = [lines(&def.docs).into_iter().map(str::to_owned).collect(), cases(&def.kind)].concat();
        let docs: Vec<_> = docs.iter().map(String::as_str).collect();
        Ok(format!("{}  export {}", comment("  ", &docs), self.body(name, id)?))
    }

    fn body(&self, name: &str, id: TypeId) -> anyhow::Result<String> {
        let (kind, way) = (&self.contract.resolve.types[id].kind, self.contract.way(id));
        Ok(match kind {
            TypeDefKind::Record(record) => {
                let mut fields = String::new();
                for field in &record.fields {
                    fields.push_str(&comment("    ", &lines(&field.docs)));
                    fields.push_str(&self.field(&field.name, &field.ty, way)?);
                }
                format!("interface {name} {{\n{fields}  }}\n")
            }
            TypeDefKind::Flags(flags) => {
                let mut fields = String::new();
                for flag in &flags.flags {
                    fields.push_str(&comment("    ", &lines(&flag.docs)));
                    fields.push_str(&self.field(&flag.name, &Type::Bool, way)?);
                }
                format!("interface {name} {{\n{fields}  }}\n")
            }
            TypeDefKind::Variant(variant) => {
                let mut cases = String::new();
                for case in &variant.cases {
                    cases.push_str(&format!("\n    | {}", self.tagged(&case.name, case.ty.as_ref(), way)?));
                }
                format!("type {name} ={cases};\n")
            }
            TypeDefKind::Enum(cases) => {
                let names: Vec<_> = cases.cases.iter().map(|case| format!("\"{}\"", case.name)).collect();
                format!("type {name} = {};\n", names.join(" | "))
            }
            TypeDefKind::Resource => format!("class {name} {{\n{}  }}\n", self.methods(id)?),
            kind => format!("type {name} = {};\n", self.kind(kind, way)?),
        })
    }

    fn field(&self, name: &str, ty: &Type, way: Way) -> anyhow::Result<String> {
        let mark = if way == Way::Out && self.is_optional(ty) { "?" } else { "" };
        Ok(format!("    {}{mark}: {};\n", name.to_lower_camel_case(), self.ty(ty, way)?))
    }

    fn methods(&self, resource: TypeId) -> anyhow::Result<String> {
        let mut methods = "    private constructor();\n".to_owned();
        for function in self.interface().functions.values() {
            if function.kind.resource() == Some(resource) {
                let word = if Form::of(function)? == Form::Static { "static " } else { "" };
                let (docs, call) = (self.docs("    ", function), self.call(function)?);
                methods.push_str(&format!("{docs}    {word}{call};\n"));
            }
        }
        methods.push_str("    /** Gives the handle back before the call ends. */\n");
        methods.push_str("    [Symbol.dispose](): void;\n");
        Ok(methods)
    }

    /// A function without the word before it.
    fn call(&self, function: &Function) -> anyhow::Result<String> {
        let exported = !self.contract.interfaces(true)?.contains(&self.id);
        let (given, answered) = if exported { (Way::In, Way::Out) } else { (Way::Out, Way::In) };
        let mut list = Vec::new();
        for param in params(function)? {
            list.push(format!("{}: {}", param.name.to_lower_camel_case(), self.ty(&param.ty, given)?));
        }
        let result = match self.contract.result(function).ok {
            Some(ty) => self.ty(ty, answered)?,
            None => "void".to_owned(),
        };
        Ok(format!("{}({}): {result}", function.item_name().to_lower_camel_case(), list.join(", ")))
    }

    fn docs(&self, indent: &str, function: &Function) -> String {
        let mut text = lines(&function.docs);
        let thrown = self.contract.result(function).err.map(|err| match err {
            Some(Type::Id(id)) => match &self.contract.resolve.types[*id].name {
                Some(name) => format!(
                    "@throws An exception whose `payload` is {{@link {}}}.",
                    name.to_upper_camel_case()
                ),
                None => "@throws An exception whose `payload` tells why.".to_owned(),
            },
            _ => "@throws An exception whose message is the error.".to_owned(),
        });
        text.extend(thrown.as_deref());
        comment(indent, &text)
    }
}
