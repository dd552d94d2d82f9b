package sqltext

import "strings"

// wellKnown lists functions of pg_catalog that are immutable or stable in
// every overload, and answer alike on a standby. A test compares it with
// pg_proc. Left out on purpose: what depends on the server or the session
// (version, inet_server_addr, current_setting, pg_is_in_recovery), what runs SQL
// text (query_to_xml, ts_stat), whatever locks, counts or signals.
const wellKnown = `
count sum avg min max bool_and bool_or every array_agg string_agg json_agg jsonb_agg json_object_agg
jsonb_object_agg bit_and bit_or bit_xor stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop
covar_samp regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy mode
percentile_cont percentile_disc rank dense_rank percent_rank cume_dist row_number ntile lag lead first_value
last_value nth_value range_agg range_intersect_agg lower upper length char_length character_length
octet_length bit_length btrim ltrim rtrim lpad rpad repeat replace reverse translate initcap concat concat_ws
format substr strpos split_part starts_with ascii chr md5 sha224 sha256 sha384 sha512 encode decode to_hex
quote_ident quote_literal quote_nullable regexp_match regexp_matches regexp_replace regexp_split_to_array
regexp_split_to_table regexp_count regexp_instr regexp_like regexp_substr string_to_array string_to_table
to_ascii unistr abs ceil ceiling floor round trunc sign mod div power pow sqrt cbrt exp ln log log10 gcd lcm
factorial degrees radians pi sin cos tan cot asin acos atan atan2 sinh cosh tanh asinh acosh atanh
width_bucket scale min_scale trim_scale sind cosd tand now statement_timestamp transaction_timestamp
date_trunc date_part date_bin age make_date make_time make_timestamp make_timestamptz make_interval to_char
to_date to_timestamp to_number justify_days justify_hours justify_interval isfinite timezone date timestamptz
timetz to_json to_jsonb array_to_json row_to_json json_build_array jsonb_build_array json_build_object
jsonb_build_object json_object jsonb_object json_array_length jsonb_array_length json_each jsonb_each
json_each_text jsonb_each_text json_extract_path jsonb_extract_path json_extract_path_text
jsonb_extract_path_text json_object_keys jsonb_object_keys json_populate_record jsonb_populate_record
json_populate_recordset jsonb_populate_recordset json_array_elements jsonb_array_elements
json_array_elements_text jsonb_array_elements_text json_typeof jsonb_typeof json_to_record jsonb_to_record
json_to_recordset jsonb_to_recordset json_strip_nulls jsonb_strip_nulls jsonb_set jsonb_set_lax jsonb_insert
jsonb_pretty jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first
jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_tz array_append array_cat array_dims array_fill
array_length array_lower array_ndims array_position array_positions array_prepend array_remove array_replace
array_to_string array_upper cardinality trim_array unnest generate_series generate_subscripts isempty
lower_inc upper_inc lower_inf upper_inf range_merge multirange int4range int8range numrange tsrange tstzrange
daterange to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd
ts_headline setweight strip tsvector_to_array array_to_tsvector numnode querytree tsquery_phrase host hostmask
masklen netmask network family broadcast abbrev text int2 int4 int8 float4 float8 bool bpchar varbit num_nulls
num_nonnulls current_database current_schema pg_typeof pg_size_pretty hashtext get_bit get_byte set_bit
set_byte bit_count area center box circle point polygon line lseg path diameter height width npoints radius
slope to_regclass to_regtype to_regproc format_type
`

// harmless lists functions that PostgreSQL calls volatile but that change
// nothing and answer on a standby just as unpredictably as on the primary.
const harmless = `clock_timestamp gen_random_uuid random timeofday`

var functions = func() map[string]struct{} {
	m := map[string]struct{}{}
	for _, name := range strings.Fields(wellKnown + harmless) {
		m[name] = struct{}{}
	}
	return m
}()

// runsQuery reports whether a function of PostgreSQL, or of the extensions that come
// with it (tablefunc, xml2, dblink), runs a text that it is given.
func runsQuery(name string) bool {
	switch name {
	case "ts_stat", "ts_rewrite", "connectby", "xpath_table":
		return true
	}
	return strings.Contains(name, "_to_xml") || strings.HasPrefix(name, "dblink") || strings.HasPrefix(name, "crosstab")
}
