-- When a worker last said that it has this timetable. One that nobody has any more is forgotten.
ALTER TABLE schedules ADD COLUMN kept_at BIGINT NOT NULL DEFAULT 0;
