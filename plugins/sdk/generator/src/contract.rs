//! The contract as it is read from `wit/`, and which way its types go between host and guest.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use anyhow::{Context, bail};
use wit_parser::{
    Docs, Function, FunctionKind, Interface, InterfaceId, PackageId, Param, Resolve, Result_, Type, TypeDef,
    TypeDefKind, TypeId, TypeOwner, World, WorldItem,
};

/// The way of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// From the host to the guest: what an export is given, what an import answers.
    In,
    /// From the guest to the host: what an export answers, what an import is given.
    Out,
}

/// What is read from `wit/`.
pub(crate) struct Contract {
    pub(crate) resolve: Resolve,
    /// The package that holds the worlds.
    pub(crate) main: PackageId,
    ways: HashMap<TypeId, HashSet<Way>>,
}

impl Contract {
    /// Reads a folder of WIT with its `deps`.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut resolve = Resolve::default();
        let (main, _) = resolve.push_dir(folder).with_context(|| folder.display().to_string())?;
        Self::new(resolve, main)
    }

    /// A contract of one package.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> anyhow::Result<Self> {
        let mut resolve = Resolve::default();
        let main = resolve.push_str("test.wit", text)?;
        Self::new(resolve, main)
    }

    fn new(resolve: Resolve, main: PackageId) -> anyhow::Result<Self> {
        let mut contract = Self { resolve, main, ways: HashMap::new() };
        for (imported, function) in contract.all_functions()? {
            let (given, answered) = if imported { (Way::Out, Way::In) } else { (Way::In, Way::Out) };
            for param in &function.params {
                contract.follow(&param.ty, given);
            }
            if let Some(result) = &function.result {
                contract.follow(result, answered);
            }
        }
        Ok(contract)
    }

    /// The functions of all worlds, each with whether it is imported.
    fn all_functions(&self) -> anyhow::Result<Vec<(bool, Function)>> {
        let mut functions = Vec::new();
        for world in self.worlds() {
            for (imported, items) in [(true, &world.imports), (false, &world.exports)] {
                for item in items.values() {
                    let interface = self.interface(item)?;
                    functions.extend(interface.functions.values().map(|one| (imported, one.clone())));
                }
            }
        }
        Ok(functions)
    }

    /// Notes the way of a type and of all that it is made of.
    fn follow(&mut self, ty: &Type, way: Way) {
        let Type::Id(id) = ty else { return };
        if self.ways.entry(*id).or_default().insert(way) {
            for part in parts(&self.resolve.types[*id].kind) {
                self.follow(&part, way);
            }
        }
    }

    /// The way a declared type goes: out only if no host ever gives one.
    pub(crate) fn way(&self, id: TypeId) -> Way {
        match self.ways.get(&id) {
            Some(ways) if !ways.contains(&Way::In) => Way::Out,
            _ => Way::In,
        }
    }

    /// The worlds, in the order of the contract.
    pub(crate) fn worlds(&self) -> impl Iterator<Item = &World> {
        self.resolve.packages[self.main].worlds.values().map(|id| &self.resolve.worlds[*id])
    }

    /// The interface that a world names. Worlds here hold nothing else.
    pub(crate) fn interface(&self, item: &WorldItem) -> anyhow::Result<&Interface> {
        Ok(&self.resolve.interfaces[self.interface_id(item)?])
    }

    fn interface_id(&self, item: &WorldItem) -> anyhow::Result<InterfaceId> {
        match item {
            WorldItem::Interface { id, .. } => Ok(*id),
            _ => bail!("a world imports or exports something that is no interface"),
        }
    }

    /// The interfaces of one side of all worlds, in the order in which the worlds name them.
    pub(crate) fn interfaces(&self, imported: bool) -> anyhow::Result<Vec<InterfaceId>> {
        let mut ids = Vec::new();
        for world in self.worlds() {
            let items = if imported { &world.imports } else { &world.exports };
            for item in items.values() {
                let id = self.interface_id(item)?;
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
        Ok(ids)
    }

    /// The whole name, for instance `taja:host/log@0.1.0`.
    pub(crate) fn full_name(&self, id: InterfaceId) -> anyhow::Result<String> {
        self.resolve.id_of(id).context("an interface has no name")
    }

    /// The name of its own.
    pub(crate) fn name(&self, id: InterfaceId) -> anyhow::Result<&str> {
        self.resolve.interfaces[id].name.as_deref().context("an interface has no name")
    }

    /// The interface that a type of `id` is used from, unless it is one of its own.
    pub(crate) fn used(&self, id: InterfaceId, def: &TypeDef) -> Option<InterfaceId> {
        let TypeDefKind::Type(Type::Id(meant)) = def.kind else { return None };
        match self.resolve.types[meant].owner {
            TypeOwner::Interface(owner) if owner != id => Some(owner),
            _ => None,
        }
    }

    /// The type that an alias stands for.
    pub(crate) fn plain<'a>(&'a self, mut def: &'a TypeDef) -> &'a TypeDef {
        while let TypeDefKind::Type(Type::Id(id)) = def.kind {
            def = &self.resolve.types[id];
        }
        def
    }

    /// What a function answers, and whether it can fail.
    pub(crate) fn result<'a>(&'a self, function: &'a Function) -> Answer<'a> {
        if let Some(Type::Id(id)) = &function.result
            && let TypeDefKind::Result(Result_ { ok, err }) = &self.plain(&self.resolve.types[*id]).kind
        {
            return Answer { ok: ok.as_ref(), err: Some(err.as_ref()) };
        }
        Answer { ok: function.result.as_ref(), err: None }
    }
}

/// What a function answers.
pub(crate) struct Answer<'a> {
    pub(crate) ok: Option<&'a Type>,
    /// None when it cannot fail; else what it fails with, if that is told.
    pub(crate) err: Option<Option<&'a Type>>,
}

/// The types that a type is made of.
fn parts(kind: &TypeDefKind) -> Vec<Type> {
    match kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
        TypeDefKind::Tuple(tuple) => tuple.types.clone(),
        TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).collect(),
        TypeDefKind::Result(result) => result.ok.into_iter().chain(result.err).collect(),
        TypeDefKind::Option(ty) | TypeDefKind::List(ty) | TypeDefKind::Type(ty) => vec![*ty],
        _ => Vec::new(),
    }
}

/// The lines of a doc comment.
pub(crate) fn lines(docs: &Docs) -> Vec<&str> {
    docs.contents.as_deref().unwrap_or_default().trim().lines().collect()
}

/// A doc comment as one line.
pub(crate) fn one_line(docs: &Docs) -> String {
    lines(docs).join(" ")
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By its name.
    Free,
    /// On a value of a resource.
    Method,
    /// On the resource itself.
    Static,
}

impl Form {
    /// None of the SDKs is made for the other forms.
    pub(crate) fn of(function: &Function) -> anyhow::Result<Self> {
        match function.kind {
            FunctionKind::Freestanding => Ok(Self::Free),
            FunctionKind::Method(_) => Ok(Self::Method),
            FunctionKind::Static(_) => Ok(Self::Static),
            _ => bail!("{} is neither a function nor a method nor a static function", function.name),
        }
    }
}

/// The parameters, without the value that a method is called on.
pub(crate) fn params(function: &Function) -> anyhow::Result<&[Param]> {
    let own = if Form::of(function)? == Form::Method { 1 } else { 0 };
    Ok(&function.params[own..])
}
