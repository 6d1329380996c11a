-- The views that readers use. {g} is the live generation's schema, {n} its number.
CREATE OR REPLACE VIEW live.users AS SELECT * FROM {g}.users;
CREATE OR REPLACE VIEW live.postings AS SELECT * FROM {g}.postings;
CREATE OR REPLACE VIEW live.tombstones AS SELECT * FROM {g}.tombstones;
CREATE OR REPLACE VIEW live.credentials AS SELECT * FROM {g}.credentials;
CREATE OR REPLACE VIEW live.rejections AS SELECT * FROM {g}.rejections;
CREATE OR REPLACE VIEW live.dead_letters AS SELECT * FROM {g}.dead_letters;
CREATE OR REPLACE VIEW live.checkpoints AS
    SELECT topic, partition, next_offset, epoch, record_time, folded_at, generation,
        (SELECT log_epoch FROM rollcall.generations WHERE id = {n}) AS log_epoch,
        (SELECT promotion FROM rollcall.generations WHERE id = {n}) AS promotion
    FROM rollcall.checkpoints WHERE generation = {n};
