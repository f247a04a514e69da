//! Snapshots: taken back whole, or refused.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{fs, path::PathBuf};

use futures::executor::block_on;
use proptest::prelude::*;
use taja_catalog::{
    Embedding, ImageHash, TenantId,
    port::{VectorIndex, VectorRow},
};
use taja_vectors::{Index, SnapshotError};
use tempfile::TempDir;

const DIMENSION: usize = 70;

fn vector(seed: u32) -> Embedding {
    let mut state = u64::from(seed) << 1 | 1;
    let values = (0..DIMENSION).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    });
    Embedding::normalised(values.collect(), DIMENSION).unwrap()
}

fn rows(tenant: &str, count: u32) -> Vec<VectorRow> {
    let row = |n: u32| VectorRow {
        tenant: tenant.parse().unwrap(),
        product: format!("p{}", n / 2).parse().unwrap(),
        image: ImageHash::of(&n.to_le_bytes()),
        embedding: vector(n),
    };
    (0..count).map(row).collect()
}

/// A large shop with a graph and removed rows, and a small one without.
fn index() -> Index {
    let index = Index::walking_from(DIMENSION, 300);
    block_on(index.insert(rows("large", 2600))).unwrap();
    index.settle();
    block_on(index.insert(rows("small", 20))).unwrap();
    for n in 10..60 {
        block_on(index.remove(&"large".parse().unwrap(), &format!("p{n}").parse().unwrap())).unwrap();
    }
    index.settle();
    index
}

fn saved(index: &Index) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.snapshot");
    index.save(&path, b"revision 7").unwrap();
    (folder, path)
}

fn refused(path: &std::path::Path) -> SnapshotError {
    Index::open(path, DIMENSION, b"revision 7").expect_err("the file is refused")
}

#[test]
fn what_was_saved_is_found_again() {
    let before = index();
    let (folder, path) = saved(&before);
    let after = Index::open(&path, DIMENSION, b"revision 7").unwrap();
    after.settle();
    assert_eq!(after.len(), before.len());
    for tenant in ["large", "small"] {
        let tenant: TenantId = tenant.parse().unwrap();
        assert_ne!(after.revision(&tenant), 0);
        let queries: Vec<_> = (5000..5020).map(vector).collect();
        let exactly = |index: &Index| block_on(index.nearest_exactly(&tenant, &queries, None, 30)).unwrap();
        assert_eq!(exactly(&after), exactly(&before));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the file");
}

#[test]
fn an_index_that_was_opened_takes_writes() {
    let (_folder, path) = saved(&index());
    let after = Index::open(&path, DIMENSION, b"revision 7").unwrap();
    let large: TenantId = "large".parse().unwrap();
    block_on(after.insert(rows("large", 2900))).unwrap();
    block_on(after.remove(&large, &"p3".parse().unwrap())).unwrap();
    after.settle();
    assert_eq!(after.len(), 20 + 2900 - 2);
    let found = block_on(after.nearest(&large, &[vector(2850), vector(30)], None, 1)).unwrap();
    assert_eq!(found[0][0].image, ImageHash::of(&2850_u32.to_le_bytes()));
    assert_eq!(found[1][0].image, ImageHash::of(&30_u32.to_le_bytes()));
}

#[test]
fn a_file_of_another_state_of_the_store_is_brought_up_to_date() {
    let (_folder, path) = saved(&index());
    let after = Index::reopen(&path, DIMENSION).unwrap();
    let large: TenantId = "large".parse().unwrap();
    // The store has lost the small shop, and of the large one has these.
    let now: Vec<_> = rows("large", 2700).split_off(200);
    block_on(after.insert(now.clone())).unwrap();
    after.forget_unconfirmed();
    after.settle();
    assert_eq!(after.len(), now.len());
    let queries: Vec<_> = now.iter().map(|row| row.embedding.clone()).collect();
    let found = block_on(after.nearest(&large, &queries, None, 1)).unwrap();
    assert!(now.iter().zip(found).all(|(row, found)| found[0].image == row.image));
    let gone = block_on(after.nearest_exactly(&large, &[vector(150)], None, 1)).unwrap();
    assert_ne!(gone[0][0].image, ImageHash::of(&150_u32.to_le_bytes()));
}

#[test]
fn an_empty_index_can_be_saved_and_a_file_is_replaced() {
    let (_folder, path) = saved(&index());
    Index::new(DIMENSION).save(&path, b"").unwrap();
    assert!(Index::open(&path, DIMENSION, b"").unwrap().is_empty());
}

#[test]
fn another_dimension_and_another_state_of_the_store_are_refused() {
    let (folder, path) = saved(&index());
    assert!(matches!(
        Index::open(&path, 768, b"revision 7"),
        Err(SnapshotError::Dimension { expected: 768, found: DIMENSION })
    ));
    assert!(matches!(Index::open(&path, DIMENSION, b"revision 8"), Err(SnapshotError::Stale)));
    let missing = refused(&folder.path().join("nothing"));
    assert!(matches!(missing, SnapshotError::Io(error) if error.kind() == std::io::ErrorKind::NotFound));
    assert!(matches!(index().save(&path, &[0; 1025]), Err(SnapshotError::Fingerprint)));
}

#[test]
fn a_foreign_file_is_refused() {
    let (_folder, path) = saved(&index());
    for content in [&b""[..], b"TAJA", b"SQLite format 3\0 and more", b"TAJAVEC\x02 and more"] {
        fs::write(&path, content).unwrap();
        assert!(matches!(refused(&path), SnapshotError::Foreign));
    }
}

#[test]
fn a_file_is_refused_wherever_it_is_cut_or_changed() {
    let (_folder, path) = saved(&index());
    let whole = fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(4999).chain(whole.len() - 20..whole.len()) {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(matches!(refused(&path), SnapshotError::Foreign | SnapshotError::Damaged(_)), "cut at {cut}");
    }
    // Every byte of the first kilobyte, where lengths and names are, and some of all others.
    for at in (0..1024).chain((1024..whole.len()).step_by(5003)) {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        assert!(!matches!(refused(&path), SnapshotError::Io(_)), "changed at {at}");
    }
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert!(matches!(refused(&path), SnapshotError::Damaged(_)));
}

/// The places and lengths of the blocks after the eight bytes of magic.
fn blocks(file: &[u8]) -> Vec<(usize, usize)> {
    let (mut at, mut blocks) = (8, Vec::new());
    while at < file.len() {
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        blocks.push((at, length));
        at += 8 + length;
    }
    blocks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn forged_blocks_with_right_checksums_do_no_harm(
        block in 0_usize..26,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        from_start in any::<bool>(),
    ) {
        let (_folder, path) = saved(forged_from());
        let mut file = fs::read(&path).unwrap();
        let blocks = blocks(&file);
        let number = block % blocks.len();
        let (at, length) = blocks[number];
        for (place, value) in changes {
            let within = if from_start { length.min(64) } else { length };
            file[at + 8 + place.index(within)] = value;
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&(number as u64).to_le_bytes());
        hasher.update(&file[at + 8..at + 8 + length]);
        file[at + 4..at + 8].copy_from_slice(&hasher.finalize().to_le_bytes());
        fs::write(&path, &file).unwrap();
        // Taken or refused; what is taken can be searched and written.
        if let Ok(index) = Index::open(&path, DIMENSION, b"revision 7") {
            let tenant: TenantId = "large".parse().unwrap();
            let found = block_on(index.nearest(&tenant, &[vector(1)], None, 10)).unwrap();
            prop_assert!(found[0].len() <= 10);
            block_on(index.insert(rows("large", 3))).unwrap();
            index.settle();
        }
    }
}

fn forged_from() -> &'static Index {
    static INDEX: std::sync::OnceLock<Index> = std::sync::OnceLock::new();
    INDEX.get_or_init(index)
}
