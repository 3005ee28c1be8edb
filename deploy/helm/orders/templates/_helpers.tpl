{{/* How the names of all objects of the release begin, so that two releases fit into one namespace. */}}
{{- define "orders.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* The name of the objects of one process. This and the next two take the release's context and the name of the process. */}}
{{- define "orders.name" -}}
{{ include "orders.fullname" .context }}-{{ .name }}
{{- end }}

{{/* Labels that select the pods of one process. A Deployment's cannot be changed later. */}}
{{- define "orders.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/part-of: orders
{{- end }}

{{- define "orders.labels" -}}
{{ include "orders.selector" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Takes the values of the process too. */}}
{{- define "orders.image" -}}
{{- $image := .context.Values.image -}}
{{ required "image.registry is required, such as registry.example/orders" $image.registry }}/{{ .name }}
{{- if .values.digest }}@{{ .values.digest }}{{ else }}:{{ .values.tag | default $image.tag | default .context.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What "restricted" pod security asks for. */}}
{{- define "orders.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "orders.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* What all pods have, of processes and of the migration. */}}
{{- define "orders.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "orders.podSecurity" . | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The directories of the URL and of the CA. The second takes the name of the Secret with the URL too. */}}
{{- define "orders.databaseMounts" -}}
- { name: database, mountPath: /etc/orders, readOnly: true }
{{- if .Values.databaseCa.secret }}
- { name: database-ca, mountPath: /etc/orders-ca, readOnly: true }
{{- end }}
{{- end }}

{{- define "orders.databaseVolumes" -}}
# Readable by the group only, 0440: a process refuses secrets that everybody can read. In decimal, because readers of YAML 1.2
# take 0440 for 440.
- { name: database, secret: { secretName: {{ .secret }}, defaultMode: 288 } }
{{- with .context.Values.databaseCa }}
{{- if .secret }}
- { name: database-ca, secret: { secretName: {{ .secret }}, defaultMode: 288, items: [{ key: {{ .key }}, path: ca.crt }] } }
{{- end }}
{{- end }}
{{- end }}

{{/*
The three processes: name, and key of their values. A template that ranges over them gets each with the context.
*/}}
{{- define "orders.processes" -}}
{{- $processes := list
    (dict "name" "write-api" "key" "writeApi")
    (dict "name" "projector" "key" "projector")
    (dict "name" "read-api" "key" "readApi") -}}
{{- toJson $processes -}}
{{- end }}
