"""A bilingual grammar that derives English sentences, their German translation and the links."""
