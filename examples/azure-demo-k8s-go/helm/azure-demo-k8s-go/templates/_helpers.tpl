{{- define "azure-demo-k8s-go.name" -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "azure-demo-k8s-go.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "azure-demo-k8s-go.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "azure-demo-k8s-go.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "azure-demo-k8s-go.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "azure-demo-k8s-go.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "azure-demo-k8s-go.image" -}}
{{ .Values.image.repository }}:{{ required "image.tag is not set" .Values.image.tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}
