{{- $id := "integer primary key autoincrement"}}{{$time := "datetime"}}
{{- if eq .Storage.Kind "mysql"}}{{$id = "integer primary key auto_increment"}}
{{- else if eq .Storage.Kind "postgres"}}{{$id = "serial primary key"}}{{$time = "timestamp"}}{{end -}}
-- What OpenSIPS {{.OpenSIPS}} needs of the database. Columns all have a declared type: the SQLite module needs it.

create table if not exists version (table_name varchar(32) primary key, table_version integer not null);
delete from version where table_name in ('subscriber', 'location');
insert into version (table_name, table_version) values ('subscriber', 8), ('location', 1013);

create table if not exists subscriber (
	id {{$id}},
	username varchar(64) not null,
	domain varchar(64) not null,
	ha1 varchar(64) not null, -- hexadecimal md5(username:domain:password)
	ha1_sha256 varchar(64) not null default '',
	ha1_sha512t256 varchar(64) not null default '',
	unique (username, domain)
);

create table if not exists location (
	contact_id {{if eq .Storage.Kind "sqlite"}}{{$id}}{{else}}bigint primary key{{end}},
	username varchar(64) not null default '',
	domain varchar(64),
	contact text not null,
	received varchar(255),
	path varchar(255),
	expires integer not null,
	q float not null default 1.0,
	callid varchar(255) not null,
	cseq integer not null,
	last_modified {{$time}} not null default '1970-01-01 00:00:00',
	flags integer not null default 0,
	cflags varchar(255),
	user_agent varchar(255) not null default '',
	socket varchar(64),
	methods integer,
	sip_instance varchar(255),
	kv_store text,
	attr varchar(255)
);
{{- if .Optional.Translations.On}}

create table if not exists translations (
	prefix varchar(32) primary key,
	strip integer not null default 0,
	prepend varchar(32) not null default '',
	gateway varchar(128) not null
);
{{- end}}
