//! A shop as blocks: a head (its name; the number of slots; of a graph, the widths of its walks above and on the lowest
//! level and the number of rows when they were measured), its segments, and of every level of a graph the links, 1024 nodes to a block.
//!
//! A node that the graph does not know yet has no links in the file; that is how it is told when the file is read.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
    sync::Arc,
};

use taja_catalog::TenantId;

use super::{
    SnapshotError,
    blocks::{Fields, Reader, Writer, push_id},
    segment::{self, NODES},
};
use crate::{
    code::lines_of,
    graph::{Graph, LEVELS, Links, PLACES, level_of, slots_on},
    rows::{Rows, SEGMENT},
    shelf::{Shelf, View},
};

/// Slots of a shop whose graph is written: the least that is allocated for links is a megabyte, which no small file may
/// ask for. A smaller shop has a graph only in tests.
const WITH_GRAPH: usize = 2048;
/// The widest walk that a file may ask for.
const WIDEST: u32 = 4096;

pub(super) fn write<W: Write>(to: &mut Writer<W>, tenant: &TenantId, view: &View) -> io::Result<()> {
    let mut head = Vec::new();
    push_id(&mut head, tenant.as_str());
    head.extend_from_slice(&(view.rows.slots() as u32).to_le_bytes());
    let graph = view.graph.as_ref().filter(|_| view.rows.slots() >= WITH_GRAPH);
    if let Some(graph) = graph {
        for number in [graph.width_above(), graph.width(), graph.tuned_at()] {
            head.extend_from_slice(&(number as u32).to_le_bytes());
        }
    }
    to.block(&head)?;
    for at in 0..view.rows.segments() {
        to.block(&segment::encode(view.rows.segment(at)))?;
    }
    let Some(graph) = graph else { return Ok(()) };
    let (links, pending): (_, HashSet<u32>) = (graph.links(), view.pending.iter().copied().collect());
    for level in 0..LEVELS {
        let nodes: Vec<u32> = slots_on(level, view.rows.slots()).collect();
        for nodes in nodes.chunks(NODES) {
            to.block(&encode(&links, level, nodes, view.rows.slots(), &pending))?;
        }
    }
    Ok(())
}

fn encode(links: &Links, level: usize, nodes: &[u32], slots: usize, pending: &HashSet<u32>) -> Vec<u8> {
    let mut block = Vec::new();
    for node in nodes {
        // Links to what came after the rows were taken lead nowhere in the file.
        let known = |link: &u32| (*link as usize) < slots && level_of(*link) >= level;
        let list: Vec<u32> = match pending.contains(node) {
            true => Vec::new(),
            false => links.of(level, *node).filter(known).collect(),
        };
        block.push(list.len() as u8);
        list.iter().for_each(|link| block.extend_from_slice(&link.to_le_bytes()));
    }
    block
}

pub(super) fn read<R: Read>(
    from: &mut Reader<R>,
    dimension: usize,
) -> Result<(TenantId, Shelf), SnapshotError> {
    let head = from.block()?;
    let mut head = Fields::of(&head);
    let (tenant, slots) = (head.id()?, head.u32()? as usize);
    let tuned = match head.rest() {
        [] => None,
        _ => Some([head.u32()?, head.u32()?, head.u32()?]),
    };
    head.done()?;
    if tuned.is_some() && slots < WITH_GRAPH {
        return Err(SnapshotError::Damaged("a graph of so few rows is never written"));
    }
    let lines = lines_of(dimension);
    let mut rows = Rows::new(lines);
    for first in (0..slots).step_by(SEGMENT) {
        rows.push_segment(segment::decode(&from.block()?, lines, SEGMENT.min(slots - first))?);
    }
    let graph = tuned.map(|tuned| graph(from, slots, tuned)).transpose()?;
    let mut pending = Vec::new();
    if let Some(graph) = &graph {
        let links = graph.links();
        let unknown = |slot: &u32| rows.label(*slot).is_some() && links.of(0, *slot).next().is_none();
        pending.extend((0..slots as u32).filter(unknown));
    }
    let shelf = Shelf::restored(rows, graph.map(Arc::new), pending);
    Ok((tenant, shelf.ok_or(SnapshotError::Damaged("an image is there twice"))?))
}

fn graph<R: Read>(
    from: &mut Reader<R>,
    slots: usize,
    [above, width, tuned_at]: [u32; 3],
) -> Result<Graph, SnapshotError> {
    let graph = Graph::new();
    if above.max(width) > WIDEST {
        return Err(SnapshotError::Damaged("a width is impossible"));
    }
    graph.set_widths(above as usize, width as usize);
    graph.set_tuned_at(tuned_at as usize);
    let links = graph.links_for(slots);
    for level in 0..LEVELS {
        let nodes: Vec<u32> = slots_on(level, slots).collect();
        for nodes in nodes.chunks(NODES) {
            let block = from.block()?;
            let mut fields = Fields::of(&block);
            for node in nodes {
                links.write(level, *node, &list(&mut fields, level, slots)?);
            }
            fields.done()?;
        }
    }
    Ok(graph)
}

fn list(fields: &mut Fields<'_>, level: usize, slots: usize) -> Result<Vec<u32>, SnapshotError> {
    let count = usize::from(fields.u8()?);
    let list: Vec<u32> = (0..count).map(|_| fields.u32()).collect::<Result<_, _>>()?;
    let known = |link: &u32| (*link as usize) < slots && level_of(*link) >= level;
    if count > PLACES || !list.iter().all(known) {
        return Err(SnapshotError::Damaged("a link leads nowhere"));
    }
    Ok(list)
}
