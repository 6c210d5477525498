//! The corridor: consume → decode → admit → enrich → run → emit → commit.
