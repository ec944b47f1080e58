-- Identifiers and names are compared as bytes, as SQLite does, and not by the rules of a language, which costs a multiple.
ALTER TABLE jobs
    ALTER COLUMN id TYPE TEXT COLLATE "C",
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ALTER COLUMN lane TYPE TEXT COLLATE "C",
    ALTER COLUMN state TYPE TEXT COLLATE "C",
    ALTER COLUMN worker TYPE TEXT COLLATE "C";
