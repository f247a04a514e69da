//! How a type is written.

use anyhow::bail;
use heck::ToUpperCamelCase;
use wit_parser::{Handle, Type, TypeDefKind};

use super::Module;
use crate::contract::Way;

impl Module<'_> {
    pub(super) fn ty(&self, ty: &Type, way: Way) -> anyhow::Result<String> {
        Ok(match ty {
            Type::Bool => "boolean".to_owned(),
            Type::Char | Type::String => "string".to_owned(),
            Type::Id(id) => {
                let def = &self.contract.resolve.types[*id];
                match &def.name {
                    Some(name) => name.to_upper_camel_case(),
                    None => self.kind(&def.kind, way)?,
                }
            }
            Type::ErrorContext => bail!("error-context has no counterpart in TypeScript"),
            _ => "number".to_owned(),
        })
    }

    pub(super) fn kind(&self, kind: &TypeDefKind, way: Way) -> anyhow::Result<String> {
        Ok(match kind {
            TypeDefKind::List(ty) => self.list(ty, way)?,
            TypeDefKind::Option(ty) if self.is_optional(ty) => {
                format!("{} | {}", self.tagged("some", Some(ty), way)?, self.tagged("none", None, way)?)
            }
            TypeDefKind::Option(ty) if way == Way::In => format!("{} | null", self.ty(ty, way)?),
            TypeDefKind::Option(ty) => format!("{} | null | undefined", self.ty(ty, way)?),
            TypeDefKind::Result(result) => {
                let (ok, err) = (result.ok.as_ref(), result.err.as_ref());
                format!("{} | {}", self.tagged("ok", ok, way)?, self.tagged("err", err, way)?)
            }
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> =
                    tuple.types.iter().map(|ty| self.ty(ty, way)).collect::<anyhow::Result<_>>()?;
                format!("[{}]", types.join(", "))
            }
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => self.ty(&Type::Id(*id), way)?,
            TypeDefKind::Type(ty) => self.ty(ty, way)?,
            _ => bail!("{} has no counterpart in TypeScript", kind.as_str()),
        })
    }

    /// Numbers may go as the typed array of their own: it is copied as a whole.
    fn list(&self, ty: &Type, way: Way) -> anyhow::Result<String> {
        let typed = match ty {
            Type::U8 => "Uint8Array",
            Type::S8 => "Int8Array",
            Type::U16 => "Uint16Array",
            Type::S16 => "Int16Array",
            Type::U32 => "Uint32Array",
            Type::S32 => "Int32Array",
            Type::F32 => "Float32Array",
            Type::F64 => "Float64Array",
            _ => "",
        };
        let item = self.ty(ty, way)?;
        let array = if item.contains(' ') { format!("({item})[]") } else { format!("{item}[]") };
        Ok(match (ty, way) {
            (Type::U8 | Type::S8, Way::In) => typed.to_owned(),
            (_, Way::In) => array,
            (_, Way::Out) if typed.is_empty() => format!("readonly {array}"),
            (_, Way::Out) => format!("readonly {array} | {typed}"),
        })
    }

    pub(super) fn tagged(&self, tag: &str, ty: Option<&Type>, way: Way) -> anyhow::Result<String> {
        Ok(match ty {
            Some(ty) => format!("{{ tag: \"{tag}\"; val: {} }}", self.ty(ty, way)?),
            None => format!("{{ tag: \"{tag}\" }}"),
        })
    }

    /// Whether a value may be missing.
    pub(super) fn is_optional(&self, ty: &Type) -> bool {
        let Type::Id(id) = ty else { return false };
        matches!(self.contract.plain(&self.contract.resolve.types[*id]).kind, TypeDefKind::Option(_))
    }
}

#[cfg(test)]
mod tests;
