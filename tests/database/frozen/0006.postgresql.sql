CREATE TABLE public.acknowledgements (
    id bigint NOT NULL,
    name character varying(32) NOT NULL,
    subject text NOT NULL,
    size bigint NOT NULL,
    state text NOT NULL,
    why text NOT NULL,
    who text NOT NULL,
    made_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);

CREATE SEQUENCE public.acknowledgements_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.acknowledgements_id_seq OWNED BY public.acknowledgements.id;

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.balance_comparisons (
    id bigint NOT NULL,
    compared_at timestamp with time zone NOT NULL,
    compared bigint NOT NULL,
    different bigint NOT NULL
);

CREATE SEQUENCE public.balance_comparisons_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.balance_comparisons_id_seq OWNED BY public.balance_comparisons.id;

CREATE TABLE public.balance_differences (
    id bigint NOT NULL,
    visit_identifier bigint NOT NULL,
    visit_balance numeric(14,2) NOT NULL,
    transactions_total numeric(14,2) NOT NULL,
    found_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone
);

CREATE SEQUENCE public.balance_differences_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.balance_differences_id_seq OWNED BY public.balance_differences.id;

CREATE TABLE public.delivered_keys (
    id bigint NOT NULL,
    file_id bigint NOT NULL,
    first_key bigint NOT NULL,
    last_key bigint NOT NULL,
    keys bytea NOT NULL
);

CREATE SEQUENCE public.delivered_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.delivered_keys_id_seq OWNED BY public.delivered_keys.id;

CREATE TABLE public.load_files (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    hospital text NOT NULL,
    entity character varying(32) NOT NULL,
    file_datetime timestamp with time zone NOT NULL,
    sha256 character varying(64),
    size_bytes bigint NOT NULL,
    header text,
    status character varying(32) NOT NULL,
    error text,
    loaded_at timestamp with time zone,
    rows_read bigint NOT NULL,
    rows_inserted bigint NOT NULL,
    rows_updated bigint NOT NULL,
    rows_unchanged bigint NOT NULL,
    rows_stale bigint NOT NULL,
    rows_superseded bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    is_resubmission boolean DEFAULT false NOT NULL,
    trailer_rows bigint,
    rows_conflicting bigint DEFAULT '0'::bigint NOT NULL,
    rows_withdrawn bigint DEFAULT '0'::bigint NOT NULL,
    columns_unknown text,
    has_last_line_end boolean
);

CREATE SEQUENCE public.load_files_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.load_files_id_seq OWNED BY public.load_files.id;

CREATE TABLE public.load_runs (
    id bigint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    status character varying(32) NOT NULL,
    version character varying(32) NOT NULL,
    host text NOT NULL,
    files_loaded bigint NOT NULL,
    files_failed bigint NOT NULL,
    rejects_resolved bigint NOT NULL,
    rows_read bigint NOT NULL,
    rows_inserted bigint NOT NULL,
    rows_updated bigint NOT NULL,
    rows_unchanged bigint NOT NULL,
    rows_stale bigint NOT NULL,
    rows_superseded bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    rejects_tolerated boolean DEFAULT false NOT NULL,
    error text,
    landing text,
    process_id bigint,
    files_planned bigint DEFAULT '0'::bigint NOT NULL,
    bytes_planned bigint DEFAULT '0'::bigint NOT NULL
);

CREATE SEQUENCE public.load_runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.load_runs_id_seq OWNED BY public.load_runs.id;

CREATE TABLE public.problems (
    id bigint NOT NULL,
    name character varying(32) NOT NULL,
    subject text NOT NULL,
    size bigint NOT NULL,
    message text NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    told_at timestamp with time zone,
    closed_at timestamp with time zone,
    grown_at timestamp with time zone
);

CREATE SEQUENCE public.problems_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.problems_id_seq OWNED BY public.problems.id;

CREATE TABLE public.procedures (
    procedure_id bigint NOT NULL,
    procedure_description text NOT NULL,
    source_file_id bigint NOT NULL,
    source_line bigint NOT NULL
);

CREATE TABLE public.rejected_rows (
    id bigint NOT NULL,
    file_id bigint NOT NULL,
    line_number bigint NOT NULL,
    entity character varying(32) NOT NULL,
    record_key bigint,
    reason character varying(32) NOT NULL,
    column_name text,
    raw text NOT NULL,
    status character varying(32) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    why text
);

CREATE SEQUENCE public.rejected_rows_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.rejected_rows_id_seq OWNED BY public.rejected_rows.id;

CREATE TABLE public.schema_revisions (
    revision character varying(32) NOT NULL,
    is_additive boolean NOT NULL,
    applied_at timestamp with time zone NOT NULL
);

CREATE TABLE public.transactions (
    transaction_identifier bigint NOT NULL,
    visit_identifier bigint NOT NULL,
    procedure_id bigint NOT NULL,
    amount numeric(14,2) NOT NULL,
    source_file_id bigint NOT NULL,
    source_line bigint NOT NULL
);

CREATE TABLE public.visits (
    visit_identifier bigint NOT NULL,
    guarantor_identifier bigint NOT NULL,
    admit_date date NOT NULL,
    discharge_date date,
    visit_balance numeric(14,2),
    insurance_identifier bigint,
    source_file_id bigint NOT NULL,
    source_line bigint NOT NULL
);

ALTER TABLE ONLY public.acknowledgements ALTER COLUMN id SET DEFAULT nextval('public.acknowledgements_id_seq'::regclass);

ALTER TABLE ONLY public.balance_comparisons ALTER COLUMN id SET DEFAULT nextval('public.balance_comparisons_id_seq'::regclass);

ALTER TABLE ONLY public.balance_differences ALTER COLUMN id SET DEFAULT nextval('public.balance_differences_id_seq'::regclass);

ALTER TABLE ONLY public.delivered_keys ALTER COLUMN id SET DEFAULT nextval('public.delivered_keys_id_seq'::regclass);

ALTER TABLE ONLY public.load_files ALTER COLUMN id SET DEFAULT nextval('public.load_files_id_seq'::regclass);

ALTER TABLE ONLY public.load_runs ALTER COLUMN id SET DEFAULT nextval('public.load_runs_id_seq'::regclass);

ALTER TABLE ONLY public.problems ALTER COLUMN id SET DEFAULT nextval('public.problems_id_seq'::regclass);

ALTER TABLE ONLY public.rejected_rows ALTER COLUMN id SET DEFAULT nextval('public.rejected_rows_id_seq'::regclass);

INSERT INTO public.alembic_version VALUES ('0006');

INSERT INTO public.balance_comparisons VALUES (1, '2026-11-27 12:14:00.865868+00', 10, 0);

INSERT INTO public.delivered_keys VALUES (1, 1, 1, 1099511627776, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff03000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000002500000000000000000000000100000003000000000000000000000000000000180000000000000028b52ffd2018a500006001000100feffffffff000000020060e0016001000000000000000000000000000000000000000000000000000000ffffffff00000000');
INSERT INTO public.delivered_keys VALUES (2, 2, 10, 4611686018427387904, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff09000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000002b00000000000000000000000100000009000000000000000000000000000000480000000000000028b52ffd2048d50000700a0002000100eeffffffffffff3f0400570a00188381078005000000000000000000000000000000000000000000ffffffff00000000');
INSERT INTO public.delivered_keys VALUES (3, 4, 100, 108, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff08000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000002300000000000000000000000100000008000000000000000000000000000000400000000000000028b52ffd2040950000306400020001000400570a001883810780050000000000000000000000000000000000000000000000000000000000ffffffff00000000');
INSERT INTO public.delivered_keys VALUES (4, 5, 1, 1, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff01000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000001900000000000000000000000100000001000000000000000000000000000000080000000000000028b52ffd20084100000100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000ffffffff00000000');
INSERT INTO public.delivered_keys VALUES (5, 6, 1, 1099511627776, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff02000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000002100000000000000000000000100000002000000000000000000000000000000100000000000000028b52ffd20108100000100000000000000ffffffffff00000000000000000000000000000000000000000000000000000000000000000000ffffffff00000000');
INSERT INTO public.delivered_keys VALUES (6, 8, 11, 40, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff02000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000002100000000000000000000000100000002000000000000000000000000000000100000000000000028b52ffd20108100000b000000000000001d0000000000000000000000000000000000000000000000000000000000000000000000000000ffffffff00000000');
INSERT INTO public.delivered_keys VALUES (7, 9, 101, 103, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff02000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000002100000000000000000000000100000002000000000000000000000000000000100000000000000028b52ffd20108100006500000000000000020000000000000000000000000000000000000000000000000000000000000000000000000000ffffffff00000000');
INSERT INTO public.delivered_keys VALUES (8, 4, 200, 200, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff01000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000001900000000000000000000000100000001000000000000000000000000000000080000000000000028b52ffd2008410000c800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000ffffffff00000000');
INSERT INTO public.delivered_keys VALUES (9, 10, 30, 30, '\xffffffff8000000004000000f2ffffff140000000400010000000a000b0008000a000400f8ffffff0c00000008000800000004000100000004000000ecffffff3800000020000000180000000102000010001200040010001100080000000c0000000000f4ffffff40000000010000000800090004000800040000006b6579730000000000000000ffffffff9000000004000000ecffffff400000000000000014000000040003000c001300100012000c000400e8ffffff01000000000000004c00000020000000100000000c00180004000c0010001400faffffff0100060005000400020000000000000000000000000000000000000000000000000000001900000000000000000000000100000001000000000000000000000000000000080000000000000028b52ffd20084100001e00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000ffffffff00000000');

INSERT INTO public.load_files VALUES (1, 1, 'HospitalABC_VisitPay_Procedure_20211201_223357.txt', 'HospitalABC', 'Procedure', '2021-12-01 22:33:57+00', '7ad784679b0e8dd1e5083d8b9c1728545fb416f11fa24a057d4d9d2db6bce3b3', 148, 'ProcedureId	ProcedureDescription', 'loaded', NULL, '2026-11-27 12:13:55.837956+00', 5, 3, 0, 0, 0, 0, 2, '148 1795781634521431733 1795781634521431733 2605068', false, NULL, 0, 0, NULL, true);
INSERT INTO public.load_files VALUES (2, 1, 'HospitalABC_VisitPay_Visit_20211201_223005.txt', 'HospitalABC', 'Visit', '2021-12-01 22:30:05+00', '1eb196e8f93f4197785015a1088acd8dfd211d87aff22748de161b2c9a53dc2f', 383, 'VisitIdentifier	GuarantorIdentifier	AdmitDate	DischargeDate	VisitBalance	InsuranceIdentifier', 'loaded', NULL, '2026-11-27 12:13:55.920376+00', 13, 9, 0, 0, 0, 0, 4, '383 1795781634521739919 1795781634521739919 2605069', false, NULL, 0, 0, NULL, true);
INSERT INTO public.load_files VALUES (4, 1, 'HospitalABC_VisitPay_Transaction_20211201_223133.txt', 'HospitalABC', 'Transaction', '2021-12-01 22:31:33+00', 'ced2a765b538e55a60d9132906e1e4c6ba208c0449edc40c4765caf93101352a', 247, 'TransactionIdentifier	VisitIdentifier	ProcedureId	Amount', 'loaded', NULL, '2026-11-27 12:13:55.959859+00', 13, 8, 0, 0, 0, 0, 5, '247 1795781634521992727 1795781634521992727 2605070', false, NULL, 0, 0, NULL, true);
INSERT INTO public.load_files VALUES (5, 2, 'HospitalABC_VisitPay_Procedure_20211130_223357.txt', 'HospitalABC', 'Procedure', '2021-11-30 22:33:57+00', '218c65e875e1af4d6c5c9543502e332fd28b4b13eaa51bdf6d8f9d880c166586', 43, 'ProcedureId	ProcedureDescription', 'loaded', NULL, '2026-11-27 12:13:57.062235+00', 1, 0, 0, 0, 1, 0, 0, '43 1795781636045975329 1795781636045975329 2605079', false, NULL, 0, 0, NULL, true);
INSERT INTO public.load_files VALUES (6, 2, 'HospitalABC_VisitPay_Procedure_20211201_223357.txt', 'HospitalABC', 'Procedure', '2021-12-01 22:33:57+00', 'cb9e5c829ed974e5e17760fe60cc9e924415818fbfc92825cf8ba9a42580a719', 111, 'ProcedureId	ProcedureDescription', 'loaded', NULL, '2026-11-27 12:13:57.184391+00', 3, 0, 1, 1, 0, 0, 1, '111 1795781636045832210 1795781636045832210 2605068', false, NULL, 0, 1, NULL, true);
INSERT INTO public.load_files VALUES (7, 2, 'HospitalABC_VisitPay_Procedure_20990101_223357.txt', 'HospitalABC', 'Procedure', '2099-01-01 22:33:57+00', NULL, 43, NULL, 'held', 'held: its name is dated in the future, 2099-01-01 22:33 UTC', NULL, 0, 0, 0, 0, 0, 0, 0, '43 1795781636046033078 1795781636046033078 2605080', false, NULL, 0, 0, NULL, NULL);
INSERT INTO public.load_files VALUES (8, 2, 'HospitalABC_VisitPay_Visit_20211203_223005.txt', 'HospitalABC', 'Visit', '2021-12-03 22:30:05+00', '19d2357da3a0c0a9109600ff08cf9e1805b71342f020958759212e953cae664b', 135, 'VisitIdentifier	GuarantorIdentifier	AdmitDate	DischargeDate	VisitBalance	InsuranceIdentifier', 'loaded', NULL, '2026-11-27 12:13:57.241167+00', 2, 2, 0, 0, 0, 0, 0, '135 1795781636045544755 1795781636045544755 2605072', false, NULL, 0, 0, NULL, true);
INSERT INTO public.load_files VALUES (9, 2, 'HospitalABC_VisitPay_Transaction_20211203_223133.txt', 'HospitalABC', 'Transaction', '2021-12-03 22:31:33+00', '7ba2a7cd893e6dde5276162578e6f4600a7a41d81d7ab224d7b56367c03366e2', 96, 'TransactionIdentifier	VisitIdentifier	ProcedureId	Amount', 'loaded', NULL, '2026-11-27 12:13:57.284436+00', 3, 1, 0, 1, 0, 0, 1, '96 1795781636045717014 1795781636045717014 2605078', false, NULL, 0, 0, NULL, true);
INSERT INTO public.load_files VALUES (3, 3, 'HospitalABC_VisitPay_Visit_20211202_223005.txt', 'HospitalABC', 'Visit', '2021-12-02 22:30:05+00', NULL, 20, NULL, 'failed', 'line 1 lacks the columns VisitIdentifier, GuarantorIdentifier, AdmitDate, DischargeDate, VisitBalance, InsuranceIdentifier; the whole file is needed again', NULL, 0, 0, 0, 0, 0, 0, 0, '20 1795781634522036732 1795781634522036732 2605071', false, NULL, 0, 0, NULL, NULL);
INSERT INTO public.load_files VALUES (10, 3, 'HospitalABC_VisitPay_Visit_20211203_223006.txt', 'HospitalABC', 'Visit', '2021-12-03 22:30:06+00', 'bf3bbadb3072bba4779edeb5d008a65b0fb0a3437973fb27e4bf434076ef451e', 403, 'RejectReason	RejectColumn	RejectFile	RejectLine	VisitIdentifier	GuarantorIdentifier	AdmitDate	DischargeDate	VisitBalance	InsuranceIdentifier', 'loaded', NULL, '2026-11-27 12:13:59.937643+00', 3, 1, 0, 0, 0, 0, 2, '403 1795781639026880389 1795781639026880389 2605083', true, NULL, 0, 0, NULL, true);

INSERT INTO public.load_runs VALUES (1, '2026-11-27 12:13:55.471983+00', '2026-11-27 12:13:55.996043+00', 'attention', '0.1.0', 'host', 3, 1, 0, 31, 20, 0, 0, 0, 0, 11, false, NULL, '/tmp/visitpay-2ghap4ym/landing', 11560, 4, 798);
INSERT INTO public.load_runs VALUES (2, '2026-11-27 12:13:56.811868+00', '2026-11-27 12:13:57.418323+00', 'attention', '0.1.0', 'host', 4, 2, 1, 9, 3, 1, 2, 1, 0, 2, false, NULL, '/tmp/visitpay-2ghap4ym/landing', 11586, 6, 448);
INSERT INTO public.load_runs VALUES (3, '2026-11-27 12:13:59.679393+00', '2026-11-27 12:14:00.014292+00', 'attention', '0.1.0', 'host', 1, 1, 0, 3, 1, 0, 0, 0, 0, 2, false, NULL, '/tmp/visitpay-2ghap4ym/landing', 11627, 2, 423);

INSERT INTO public.problems VALUES (5, 'rows_rejected', 'Procedure missing_value', 1, 'Procedure: 1 rejected row is open: missing_value', '2026-11-27 12:13:55.99913+00', NULL, '2026-11-27 12:13:57.423555+00', NULL);
INSERT INTO public.problems VALUES (6, 'rows_rejected', 'Visit invalid_amount', 1, 'Visit: 1 rejected row is open: invalid_amount', '2026-11-27 12:13:55.99913+00', NULL, '2026-11-27 12:13:57.423555+00', NULL);
INSERT INTO public.problems VALUES (11, 'file_held', 'HospitalABC_VisitPay_Procedure_20990101_223357.txt', 1, 'HospitalABC_VisitPay_Procedure_20990101_223357.txt: held: its name is dated in the future, 2099-01-01 22:33 UTC; ask the hospital for a corrected file, or load it with --approve', '2026-11-27 12:13:57.423555+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (1, 'file_failed', 'HospitalABC_VisitPay_Visit_20211202_223005.txt', 1, 'HospitalABC_VisitPay_Visit_20211202_223005.txt: line 1 lacks the columns VisitIdentifier, GuarantorIdentifier, AdmitDate, DischargeDate, VisitBalance, InsuranceIdentifier; the whole file is needed again; each load tries it until it is corrected or taken away', '2026-11-27 12:13:55.99913+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (2, 'rows_rejected', 'Transaction missing_reference', 3, 'Transaction: 3 rejected rows are open: missing_reference', '2026-11-27 12:13:55.99913+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (4, 'rows_rejected', 'Procedure invalid_integer', 1, 'Procedure: 1 rejected row is open: invalid_integer', '2026-11-27 12:13:55.99913+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (3, 'rows_rejected', 'Transaction invalid_amount', 1, 'Transaction: 1 rejected row is open: invalid_amount', '2026-11-27 12:13:55.99913+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (8, 'rows_rejected', 'Visit malformed', 1, 'Visit: 1 rejected row is open: malformed', '2026-11-27 12:13:55.99913+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (9, 'rows_rejected', 'Visit missing_value', 1, 'Visit: 1 rejected row is open: missing_value', '2026-11-27 12:13:55.99913+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (12, 'type_missing', '2021-12-03', 1, '2021-12-03: no Procedure file was loaded, though others were', '2026-11-27 12:13:57.423555+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (13, 'rows_withdrawn', 'HospitalABC_VisitPay_Procedure_20211201_223357.txt', 1, 'Procedure_20211201_223357: 1 row of its former delivery is not in it; the rows stay', '2026-11-27 12:13:57.423555+00', NULL, NULL, NULL);
INSERT INTO public.problems VALUES (10, 'visit_without_transactions', '', 2, '2 visits have no transactions', '2026-11-27 12:13:55.99913+00', NULL, NULL, '2026-11-27 12:14:00.016764+00');
INSERT INTO public.problems VALUES (7, 'rows_rejected', 'Visit invalid_date', 1, 'Visit: 1 rejected row is open: invalid_date', '2026-11-27 12:13:55.99913+00', NULL, '2026-11-27 12:14:00.016764+00', NULL);

INSERT INTO public.procedures VALUES (2, 'Schiene 5" für Daumen ☃ 指', 1, 3);
INSERT INTO public.procedures VALUES (1099511627776, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 1, 4);
INSERT INTO public.procedures VALUES (1, 'bandage', 6, 2);

INSERT INTO public.rejected_rows VALUES (5, 2, 13, 'Visit', 31, 'missing_value', 'GuarantorIdentifier', '31		1/2/2021			', 'open', '2026-11-27 12:13:55.90893+00', NULL, NULL);
INSERT INTO public.rejected_rows VALUES (6, 2, 14, 'Visit', NULL, 'malformed', NULL, '32	7', 'open', '2026-11-27 12:13:55.90893+00', NULL, NULL);
INSERT INTO public.rejected_rows VALUES (8, 4, 14, 'Transaction', 203, 'invalid_amount', 'Amount', '203	10	1	1e3', 'open', '2026-11-27 12:13:55.953978+00', NULL, NULL);
INSERT INTO public.rejected_rows VALUES (10, 4, 12, 'Transaction', 201, 'missing_reference', 'VisitIdentifier', '201	41	1	9', 'open', '2026-11-27 12:13:55.953978+00', NULL, NULL);
INSERT INTO public.rejected_rows VALUES (11, 4, 13, 'Transaction', 202, 'missing_reference', 'ProcedureId', '202	10	99	9', 'open', '2026-11-27 12:13:55.953978+00', NULL, NULL);
INSERT INTO public.rejected_rows VALUES (12, 6, 4, 'Procedure', NULL, 'invalid_integer', 'ProcedureId', 'drei	bandaid', 'open', '2026-11-27 12:13:57.125652+00', NULL, NULL);
INSERT INTO public.rejected_rows VALUES (2, 1, 6, 'Procedure', 4, 'missing_value', 'ProcedureDescription', '4	', 'superseded', '2026-11-27 12:13:55.82044+00', '2026-11-27 12:13:57.161055+00', NULL);
INSERT INTO public.rejected_rows VALUES (1, 1, 5, 'Procedure', NULL, 'invalid_integer', 'ProcedureId', 'three	bandaid', 'superseded', '2026-11-27 12:13:55.82044+00', '2026-11-27 12:13:57.161055+00', NULL);
INSERT INTO public.rejected_rows VALUES (3, 2, 3, 'Visit', 11, 'invalid_amount', 'VisitBalance', '11	7	1/2/2021		.005	', 'superseded', '2026-11-27 12:13:55.90893+00', '2026-11-27 12:13:57.236975+00', NULL);
INSERT INTO public.rejected_rows VALUES (13, 9, 4, 'Transaction', 204, 'missing_reference', 'VisitIdentifier', '204	42	1	9', 'open', '2026-11-27 12:13:57.273046+00', NULL, NULL);
INSERT INTO public.rejected_rows VALUES (7, 4, 3, 'Transaction', 101, 'invalid_amount', 'Amount', '101	11	1	.005', 'superseded', '2026-11-27 12:13:55.953978+00', '2026-11-27 12:13:57.281459+00', NULL);
INSERT INTO public.rejected_rows VALUES (9, 4, 11, 'Transaction', 200, 'missing_reference', 'VisitIdentifier', '200	40	1	9', 'resolved', '2026-11-27 12:13:55.953978+00', '2026-11-27 12:13:57.331447+00', NULL);
INSERT INTO public.rejected_rows VALUES (14, 10, 3, 'Visit', 31, 'missing_value', 'GuarantorIdentifier', 'missing_value	GuarantorIdentifier	HospitalABC_VisitPay_Visit_20211201_223005.txt	13#5	31		1/2/2021			', 'superseded', '2026-11-27 12:13:59.910647+00', '2026-11-27 12:13:59.910647+00', NULL);
INSERT INTO public.rejected_rows VALUES (15, 10, 4, 'Visit', NULL, 'malformed', NULL, 'malformed		HospitalABC_VisitPay_Visit_20211201_223005.txt	14#6	32	7', 'superseded', '2026-11-27 12:13:59.910647+00', '2026-11-27 12:13:59.910647+00', NULL);
INSERT INTO public.rejected_rows VALUES (4, 2, 12, 'Visit', 30, 'invalid_date', 'AdmitDate', '30	7	1/41/2021			', 'superseded', '2026-11-27 12:13:55.90893+00', '2026-11-27 12:13:59.920117+00', NULL);

INSERT INTO public.schema_revisions VALUES ('0005', false, '2026-11-27 12:13:54.192932+00');
INSERT INTO public.schema_revisions VALUES ('0006', true, '2026-11-27 12:13:54.192932+00');

INSERT INTO public.transactions VALUES (100, 10, 1, 0.10, 4, 2);
INSERT INTO public.transactions VALUES (102, 12, 1, 0.29, 4, 4);
INSERT INTO public.transactions VALUES (103, 13, 1, 1.15, 4, 5);
INSERT INTO public.transactions VALUES (104, 14, 1, 19.99, 4, 6);
INSERT INTO public.transactions VALUES (105, 15, 1, -20.00, 4, 7);
INSERT INTO public.transactions VALUES (106, 16, 1, 1005.50, 4, 8);
INSERT INTO public.transactions VALUES (107, 17, 1, -20.00, 4, 9);
INSERT INTO public.transactions VALUES (108, 18, 1, 123456789012.34, 4, 10);
INSERT INTO public.transactions VALUES (101, 11, 1, 5.00, 9, 2);
INSERT INTO public.transactions VALUES (200, 40, 1, 9.00, 4, 11);

INSERT INTO public.visits VALUES (10, 7, '2021-01-02', NULL, 0.10, NULL, 2, 2);
INSERT INTO public.visits VALUES (12, 7, '2021-01-02', NULL, 0.29, NULL, 2, 4);
INSERT INTO public.visits VALUES (13, 7, '2021-01-02', NULL, 1.15, NULL, 2, 5);
INSERT INTO public.visits VALUES (14, 7, '2021-01-02', NULL, 19.99, NULL, 2, 6);
INSERT INTO public.visits VALUES (15, 7, '2021-01-02', NULL, -20.00, NULL, 2, 7);
INSERT INTO public.visits VALUES (16, 7, '2021-01-02', NULL, 1005.50, NULL, 2, 8);
INSERT INTO public.visits VALUES (17, 7, '2021-01-02', NULL, -20.00, NULL, 2, 9);
INSERT INTO public.visits VALUES (18, 7, '2021-01-02', NULL, 123456789012.34, NULL, 2, 10);
INSERT INTO public.visits VALUES (4611686018427387904, 7, '2021-01-02', '2021-01-05', NULL, 5, 2, 11);
INSERT INTO public.visits VALUES (11, 7, '2021-01-02', NULL, 5.00, NULL, 8, 3);
INSERT INTO public.visits VALUES (40, 7, '2021-01-02', NULL, 9.00, NULL, 8, 2);
INSERT INTO public.visits VALUES (30, 7, '2021-01-04', NULL, NULL, NULL, 10, 2);

SELECT pg_catalog.setval('public.acknowledgements_id_seq', 1, false);

SELECT pg_catalog.setval('public.balance_comparisons_id_seq', 1, true);

SELECT pg_catalog.setval('public.balance_differences_id_seq', 1, false);

SELECT pg_catalog.setval('public.delivered_keys_id_seq', 9, true);

SELECT pg_catalog.setval('public.load_files_id_seq', 10, true);

SELECT pg_catalog.setval('public.load_runs_id_seq', 3, true);

SELECT pg_catalog.setval('public.problems_id_seq', 13, true);

SELECT pg_catalog.setval('public.rejected_rows_id_seq', 15, true);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.acknowledgements
    ADD CONSTRAINT pk_acknowledgements PRIMARY KEY (id);

ALTER TABLE ONLY public.balance_comparisons
    ADD CONSTRAINT pk_balance_comparisons PRIMARY KEY (id);

ALTER TABLE ONLY public.balance_differences
    ADD CONSTRAINT pk_balance_differences PRIMARY KEY (id);

ALTER TABLE ONLY public.delivered_keys
    ADD CONSTRAINT pk_delivered_keys PRIMARY KEY (id);

ALTER TABLE ONLY public.load_files
    ADD CONSTRAINT pk_load_files PRIMARY KEY (id);

ALTER TABLE ONLY public.load_runs
    ADD CONSTRAINT pk_load_runs PRIMARY KEY (id);

ALTER TABLE ONLY public.problems
    ADD CONSTRAINT pk_problems PRIMARY KEY (id);

ALTER TABLE ONLY public.procedures
    ADD CONSTRAINT pk_procedures PRIMARY KEY (procedure_id);

ALTER TABLE ONLY public.rejected_rows
    ADD CONSTRAINT pk_rejected_rows PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_revisions
    ADD CONSTRAINT pk_schema_revisions PRIMARY KEY (revision);

ALTER TABLE ONLY public.transactions
    ADD CONSTRAINT pk_transactions PRIMARY KEY (transaction_identifier);

ALTER TABLE ONLY public.visits
    ADD CONSTRAINT pk_visits PRIMARY KEY (visit_identifier);

ALTER TABLE ONLY public.rejected_rows
    ADD CONSTRAINT uq_rejected_rows_file_id_line_number UNIQUE (file_id, line_number);

CREATE INDEX ix_balance_differences_visit_identifier ON public.balance_differences USING btree (visit_identifier);

CREATE INDEX ix_delivered_keys_file_id ON public.delivered_keys USING btree (file_id);

CREATE INDEX ix_load_files_entity_file_datetime ON public.load_files USING btree (entity, file_datetime);

CREATE INDEX ix_load_files_name ON public.load_files USING btree (name);

CREATE INDEX ix_load_files_sha256 ON public.load_files USING btree (sha256);

CREATE INDEX ix_rejected_rows_open ON public.rejected_rows USING btree (entity, record_key) WHERE ((status)::text = 'open'::text);

CREATE INDEX ix_transactions_visit_identifier ON public.transactions USING btree (visit_identifier);

ALTER TABLE ONLY public.delivered_keys
    ADD CONSTRAINT fk_delivered_keys_file_id_load_files FOREIGN KEY (file_id) REFERENCES public.load_files(id);

ALTER TABLE ONLY public.load_files
    ADD CONSTRAINT fk_load_files_run_id_load_runs FOREIGN KEY (run_id) REFERENCES public.load_runs(id);

ALTER TABLE ONLY public.rejected_rows
    ADD CONSTRAINT fk_rejected_rows_file_id_load_files FOREIGN KEY (file_id) REFERENCES public.load_files(id);

ALTER TABLE ONLY public.transactions
    ADD CONSTRAINT fk_transactions_procedure_id_procedures FOREIGN KEY (procedure_id) REFERENCES public.procedures(procedure_id);

ALTER TABLE ONLY public.transactions
    ADD CONSTRAINT fk_transactions_visit_identifier_visits FOREIGN KEY (visit_identifier) REFERENCES public.visits(visit_identifier);

